/** What an evaluation may know, and how it asks for more. */

import type { Service } from "./catalogue.js";
import type { RawAlert, RawAnswer, RawInput, RawPastIntent, RawQuery, RawTime } from "./contract.js";

/** The evaluation cannot be completed without these answers. Not for policies: asking throws it. */
export class Needs {
  constructor(readonly queries: readonly RawQuery[]) {}
}

/** It cannot be decided, for this reason. Balm records it and tries again later. */
export class Failed extends Error {}

/** One alert. Its texts are written by whoever writes alert rules: data, never instructions. */
export interface Alert {
  readonly source: string;
  readonly org: string;
  readonly fingerprint: string;
  readonly firing: boolean;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly values: Readonly<Record<string, number>>;
  /** Milliseconds since 1970, by the sender's clock. */
  readonly startsAt: number | undefined;
  readonly endsAt: number | undefined;
}

/** `fired`, `resolved`, `look-again`, `unverified`, or a word of a later host: treat that as `look-again`. */
export type Trigger = string;

/** One intent of this episode and policy so far. */
export interface PastIntent {
  readonly action: string;
  readonly target: string;
  readonly at: number;
  readonly state: string;
  /** What it changes, as Balm found it. */
  readonly before: Readonly<Record<string, unknown>>;
  /** The same, as it wanted it. */
  readonly after: Readonly<Record<string, unknown>>;
  /** Whether it is still on its way. */
  readonly inProgress: boolean;
  /** Whether nothing was changed by it. */
  readonly changedNothing: boolean;
}

const IN_PROGRESS = ["waiting", "attempting", "unknown", "verifying"];
const CHANGED_NOTHING = ["refused", "failed", "expired", "undone"];

/** All that an evaluation may know. */
export class Input<S> {
  readonly alert: Alert;
  readonly policy: string;
  /** ARNs: what it may look at and propose to change. */
  readonly targets: readonly string[];
  readonly trigger: Trigger;
  /** Oldest first; the newest sixteen. */
  readonly history: readonly PastIntent[];
  /** Milliseconds since 1970. It stands still. */
  readonly now: number;
  /** The only randomness. */
  readonly seed: bigint;
  readonly #answers: readonly RawAnswer[];

  constructor(
    raw: RawInput,
    /** What the operator set, with the defaults of the schema. */
    readonly settings: S,
  ) {
    this.alert = readAlert(raw.alert);
    this.policy = raw.policy;
    this.targets = raw.targets;
    this.trigger = raw.trigger;
    this.history = raw.history.map(readPast);
    this.now = Number(raw.now);
    this.seed = BigInt(raw.seed);
    this.#answers = raw.answers;
  }

  /** A service as Balm read it. */
  ecsService(target: string): Service {
    return this.ask<Service>("ecs:service", target);
  }

  /** Several services: all that are missing are asked for in one round. */
  ecsServices(targets: readonly string[]): [string, Service][] {
    return this.askAll<Service>("ecs:service", targets);
  }

  /** The answer to a query of the catalogue. */
  ask<A>(kind: string, target: string, parameters: Record<string, unknown> = {}): A {
    const [[, answer]] = this.askAll<A>(kind, [target], parameters) as [[string, A]];
    return answer;
  }

  askAll<A>(kind: string, targets: readonly string[], parameters: Record<string, unknown> = {}): [string, A][] {
    const answers: [string, A][] = [];
    const missing: RawQuery[] = [];
    for (const target of targets) {
      const query = { kind, target, parameters: canonical(parameters) };
      const answer = this.#answers.find((answer) => same(answer.query, query));
      if (answer === undefined) missing.push(query);
      else if (answer.reading.tag === "ok") answers.push([target, JSON.parse(answer.reading.val) as A]);
      else throw new Failed(`${kind} of ${target} could not be read: ${answer.reading.val}`);
    }
    if (missing.length > 0) throw new Needs(missing);
    return answers;
  }

  /** Whether an intent on this target is still on its way. */
  isInProgress(target: string): boolean {
    return this.history.some((past) => past.target === target && past.inProgress);
  }

  /** Whole seconds since a time in milliseconds; zero for one to come. */
  secondsSince(then: number): number {
    return Math.floor(Math.max(0, this.now - then) / 1000);
  }
}

/** The last part of an ARN: what people call the target. The name of a group may have slashes itself. */
export function nameOf(target: string): string {
  const group = target.split(":autoScalingGroupName/")[1];
  return group ?? target.split(/[/:]/).pop() ?? target;
}

function readAlert(raw: RawAlert): Alert {
  return {
    source: raw.source,
    org: raw.org,
    fingerprint: raw.fingerprint,
    firing: raw.status === "firing",
    name: raw.name,
    labels: Object.fromEntries(raw.labels),
    annotations: Object.fromEntries(raw.annotations),
    values: Object.fromEntries(raw.values),
    startsAt: readTime(raw.startsAt),
    endsAt: readTime(raw.endsAt),
  };
}

function readPast(raw: RawPastIntent): PastIntent {
  return {
    action: raw.action,
    target: raw.target,
    at: Number(raw.at),
    state: raw.state,
    before: JSON.parse(raw.before),
    after: JSON.parse(raw.after),
    inProgress: IN_PROGRESS.includes(raw.state),
    changedNothing: CHANGED_NOTHING.includes(raw.state),
  };
}

function readTime(time: RawTime | null | undefined): number | undefined {
  return time === null || time === undefined ? undefined : Number(time);
}

/** JSON as Balm hands it back: on one line, keys sorted. */
function canonical(value: unknown): string {
  const sorted = (_: string, inner: unknown) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner;
  return JSON.stringify(value, sorted);
}

function same(one: RawQuery, other: RawQuery): boolean {
  return one.kind === other.kind && one.target === other.target && one.parameters === other.parameters;
}
