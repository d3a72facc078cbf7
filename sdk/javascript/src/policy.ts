/** What an author writes, and how it becomes the plugin that Balm calls. */

import type { RawDecision, RawInput, RawOutcome, RawPlugin } from "./contract.js";
import type { Decision, Intent } from "./decision.js";
import { Input, Needs } from "./input.js";
import { type Schema, read, schemaOf } from "./settings.js";

/** A remediation policy: a pure function from what is known to what should be done. */
export interface Policy<S> {
  /** The policy's own version, for people. */
  readonly version: string;
  /** What it does, in one sentence. */
  readonly summary: string;
  /** The actions that it may propose. Balm refuses an intent with any other. */
  readonly actions: readonly string[];
  /** The kinds of queries that it may ask. */
  readonly queries: readonly string[];
  /** What the operator can set. */
  readonly settings: Schema;
  /** What is wrong with settings that could be read, and what to change. */
  validate?(settings: S): string | undefined;
  /** Decide. What it throws is recorded as its failure, and the evaluation is tried again later. */
  evaluate(input: Input<S>): Decision;
}

/** Say the type of the settings once, and have everything else inferred. */
export function policy<S>(policy: Policy<S>): Policy<S> {
  return policy;
}

/** The plugin that Balm calls. */
export function plugin<S>(policy: Policy<S>): RawPlugin {
  return {
    describe: () => ({
      name: null,
      version: policy.version,
      summary: policy.summary,
      actions: [...policy.actions],
      queries: [...policy.queries],
      settingsSchema: schemaOf(policy.settings),
    }),
    validateSettings(settings) {
      const wrong = orText(() => policy.validate?.(read(policy.settings, settings) as S));
      if (wrong !== undefined) throw wrong;
    },
    evaluate: (input) => orText(() => evaluate(policy, input)),
  };
}

function evaluate<S>(policy: Policy<S>, raw: RawInput): RawOutcome {
  const settings = read(policy.settings, raw.settings) as S;
  try {
    return { tag: "decided", val: write(policy.evaluate(new Input(raw, settings))) };
  } catch (stop) {
    if (stop instanceof Needs) return { tag: "needs", val: [...stop.queries] };
    throw stop;
  }
}

/** The contract's errors are texts: what is thrown otherwise would be a trap. */
function orText<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw error instanceof Error ? error.message : String(error);
  }
}

function write(decision: Decision): RawDecision {
  return {
    intents: decision.intents.map(writeIntent),
    explanation: decision.because.join("; "),
    lookAgainAfter: writeU32(decision.lookAgainAfter),
    extra: "{}",
  };
}

/** componentize-qjs takes a whole number of 32 bits as QuickJS has it: above 2147483647 it would be cut to that. */
function writeU32(value: number | undefined): number | null {
  if (value === undefined) return null;
  if (!Number.isInteger(value) || value < 0) throw new Error(`${value} is no whole number of seconds`);
  return Math.min(value, 4_294_967_295) | 0;
}

function writeIntent(intent: Intent) {
  return {
    action: intent.action,
    target: intent.target,
    parameters: JSON.stringify(intent.parameters),
    expects: JSON.stringify(intent.expects),
    verifyWithin: writeU32(intent.verifyWithin),
    undo: intent.undo ?? false,
    reason: intent.reason,
  };
}
