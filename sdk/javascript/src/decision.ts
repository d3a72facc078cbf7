/** What an evaluation returns. */

/** One proposed change: absolute ("desired is 6"), and conditional by what it expects. */
export interface Intent {
  readonly action: string;
  readonly target: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** What must still be true when Balm acts: attributes of the target. */
  readonly expects: Readonly<Record<string, unknown>>;
  /** Why, in one sentence. */
  readonly reason: string;
  /** Seconds until it must be verified, if not the action's own deadline. */
  readonly verifyWithin?: number;
  /** Undo it when it cannot be verified. */
  readonly undo?: boolean;
}

/** Intents of the catalogue's actions. */
export const intent = {
  /** Run so many tasks, provided that there are still as many as expected. */
  scaleService(target: string, desired: number, expected: number, reason: string): Intent {
    return { action: "ecs:scale-service", target, parameters: { desired }, expects: { desired: expected }, reason };
  },
};

/** What should be done, and why; also when nothing should. */
export class Decision {
  readonly intents: Intent[] = [];
  readonly because: string[] = [];
  lookAgainAfter: number | undefined;

  constructor(explanation?: string) {
    if (explanation !== undefined) this.because.push(explanation);
  }

  /** A reason more. */
  explain(why: string): this {
    this.because.push(why);
    return this;
  }

  propose(intent: Intent): this {
    this.intents.push(intent);
    return this;
  }

  /** Evaluate again after so many seconds; the soonest counts if it is said twice. */
  lookAgain(seconds: number): this {
    this.lookAgainAfter = Math.min(seconds, this.lookAgainAfter ?? seconds);
    return this;
  }
}
