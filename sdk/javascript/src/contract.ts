/** What crosses the boundary, as componentize-qjs hands it over: wit/0.1.0/policy.wit in JavaScript. */

export interface RawAlert {
  source: string;
  org: string;
  fingerprint: string;
  status: "firing" | "resolved";
  name: string;
  labels: [string, string][];
  annotations: [string, string][];
  values: [string, number][];
  startsAt: RawTime | null;
  endsAt: RawTime | null;
}

/** A whole number of 64 bits: a bigint where a number cannot hold it. */
export type RawTime = number | bigint;

export interface RawQuery {
  kind: string;
  target: string;
  parameters: string;
}

export interface RawAnswer {
  query: RawQuery;
  reading: { tag: "ok"; val: string } | { tag: "err"; val: string };
  at: RawTime;
}

export interface RawPastIntent {
  action: string;
  target: string;
  at: RawTime;
  state: string;
  before: string;
  after: string;
}

export interface RawInput {
  alert: RawAlert;
  policy: string;
  targets: string[];
  settings: string;
  answers: RawAnswer[];
  trigger: string;
  history: RawPastIntent[];
  now: RawTime;
  seed: RawTime;
  extra: string;
}

export interface RawIntent {
  action: string;
  target: string;
  parameters: string;
  expects: string;
  verifyWithin: number | null;
  undo: boolean;
  reason: string;
}

export interface RawDecision {
  intents: RawIntent[];
  explanation: string;
  lookAgainAfter: number | null;
  extra: string;
}

export type RawOutcome = { tag: "decided"; val: RawDecision } | { tag: "needs"; val: RawQuery[] };

export interface RawManifest {
  name: string | null;
  version: string;
  summary: string;
  actions: string[];
  queries: string[];
  settingsSchema: string;
}

/** The interface `plugin`. An error of the contract is a text that is thrown. */
export interface RawPlugin {
  describe(): RawManifest;
  validateSettings(settings: string): void;
  evaluate(input: RawInput): RawOutcome;
}
