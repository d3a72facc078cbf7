/**
 * Scales an ECS service out while an alert says that it is saturated, and slowly back in afterwards: the bundled policy
 * plugins/scale-ecs-service, decision by decision the same.
 */

import { Decision, type Input, type Service, intent, nameOf, policy } from "../src/index.js";

/** How soon a target is looked at again that something is still under way on, in seconds. */
const SOON = 15;

/** The largest number of tasks, and of seconds: what 32 bits hold. */
const MOST = 4_294_967_295;

interface Settings {
  readonly minimum: number;
  readonly maximum: number;
  readonly "out-step": number;
  readonly "in-step": number;
  readonly "out-pause": number;
  readonly "in-pause": number;
  readonly "low-alerts": readonly string[];
}

const number = (description: string) => ({ description, type: "integer", minimum: 0, maximum: MOST }) as const;

export default policy<Settings>({
  version: "0.1.0",
  summary: "Scales an ECS service out while an alert says that it is saturated, and slowly back in afterwards.",
  actions: ["ecs:scale-service"],
  queries: ["ecs:service"],
  settings: {
    minimum: number("Tasks that are never gone below."),
    maximum: number("Tasks that are never gone above."),
    "out-step": { ...number("Tasks that are added at once."), default: 2 },
    "in-step": { ...number("Tasks that are taken away at once."), default: 1 },
    "out-pause": { ...number("Seconds between two steps out, while the alert keeps firing."), default: 300 },
    "in-pause": { ...number("Seconds before the first step in, and between two."), default: 600 },
    "low-alerts": {
      description: "Names of alerts whose firing means too little load. Every other alert means too much.",
      type: "array",
      items: { type: "string" },
      default: [],
    },
  },

  validate({ minimum, maximum, ...steps }) {
    if (minimum === 0) return "minimum is 0: set it to 1 at least, since a service without tasks serves nobody";
    if (minimum > maximum) return `minimum ${minimum} is above maximum ${maximum}: raise maximum or lower minimum`;
    const zero = (["out-step", "in-step", "out-pause", "in-pause"] as const).find((name) => steps[name] === 0);
    return zero && `${zero} is 0: set it to 1 at least`;
  },

  evaluate(input) {
    const decision = new Decision();
    for (const [target, service] of input.ecsServices(input.targets)) new Step(input, target, service).plan(decision);
    return decision;
  },
});

/** One target in one evaluation. */
class Step {
  readonly #name: string;
  readonly #past;

  constructor(
    readonly input: Input<Settings>,
    readonly target: string,
    readonly service: Service,
  ) {
    this.#name = nameOf(target);
    this.#past = input.history.filter((past) => past.target === target && !past.changedNothing);
  }

  plan(decision: Decision): void {
    const { alert, settings } = this.input;
    if (this.service.status !== "ACTIVE") {
      decision.explain(`${this.#name} is ${this.service.status}: it is left alone`);
    } else if (this.input.isInProgress(this.target)) {
      // Before anything is concluded from what is there: it is about to become something else.
      const pause = Math.min(settings["out-pause"], settings["in-pause"]);
      decision.explain(`a change of ${this.#name} is still under way`).lookAgain(Math.min(SOON, pause));
    } else if (settings["low-alerts"].includes(alert.name)) {
      if (alert.firing) this.#idle(decision);
      else decision.explain(`${this.#name} is no longer short of load: nothing is to be done`);
    } else if (alert.firing) this.#saturated(decision);
    else this.#relieved(decision);
  }

  /** The alert fires: one step out, again and again. */
  #saturated(decision: Decision): void {
    const { minimum, maximum, "out-step": step, "out-pause": pause } = this.input.settings;
    const from = this.service.desired;
    if (this.#waits(decision, pause)) return;
    const to = Math.max(minimum, Math.min(maximum, from + step));
    if (to <= from) {
      const why = `${this.#name} is saturated and runs ${from} tasks, which is its maximum of ${maximum}`;
      decision.explain(why).lookAgain(pause);
    } else this.#scale(decision, to, `${this.#name} is saturated: from ${from} to ${to} tasks`, pause);
  }

  /** The alert has resolved: give back, slowly, what this episode added. */
  #relieved(decision: Decision): void {
    const { minimum, "in-step": step, "in-pause": pause } = this.input.settings;
    const from = this.service.desired;
    const changes = this.#past.flatMap(({ before, after }) =>
      isCount(before.desired) && isCount(after.desired) ? [[before.desired, after.desired] as const] : [],
    );
    const added = changes.filter(([before, after]) => before < after).map(([before]) => before);
    if (added.length === 0) {
      decision.explain(`${this.#name} is well again, and nothing was added to it`);
      return;
    }
    const floor = Math.max(Math.min(...added), minimum);
    // What runs above the floor may be another episode's by now: each gives back its own.
    const left = changes.reduce((sum, [before, after]) => sum + after - before, 0);
    if (from <= floor || left <= 0) {
      decision.explain(`${this.#name} is well again with ${from} tasks, and nothing is left to give back`);
      return;
    }
    const rest = pause - this.#rested(pause);
    if (rest > 0) {
      decision.explain(`${this.#name} is well again: it keeps its ${from} tasks for ${rest} s more`).lookAgain(rest);
      return;
    }
    if (this.#waits(decision, pause)) return;
    const to = Math.max(from - Math.min(step, left), floor);
    const why = `${this.#name} is well again: from ${from} to ${to} tasks, on the way to ${floor}`;
    this.#scale(decision, to, why, pause);
  }

  /** An alert fires that says that there is too little load: one step in, again and again. */
  #idle(decision: Decision): void {
    const { minimum, "in-step": step, "in-pause": pause } = this.input.settings;
    const from = this.service.desired;
    if (this.#waits(decision, pause)) return;
    const to = Math.max(from - step, minimum);
    if (to >= from) {
      const why = `${this.#name} is short of load and runs ${from} tasks, its minimum is ${minimum}`;
      decision.explain(why).lookAgain(pause);
    } else this.#scale(decision, to, `${this.#name} is short of load: from ${from} to ${to} tasks`, pause);
  }

  /** Seconds since the alert's end. One in the future is a sender's clock that is ahead: it tells as little as none. */
  #rested(pause: number): number {
    const { alert, now, trigger } = this.input;
    if (alert.endsAt !== undefined && alert.endsAt <= now) return this.input.secondsSince(alert.endsAt);
    return trigger === "resolved" ? 0 : pause;
  }

  /** Something is still on its way, or it is too soon after the last step. */
  #waits(decision: Decision, pause: number): boolean {
    const { desired, running, pending, deployments } = this.service;
    if (running < desired || pending > 0 || deployments.length > 1) {
      const counts = `${running} of ${desired} tasks run, ${pending} are pending`;
      decision.explain(`${this.#name} is still on its way: ${counts}`).lookAgain(Math.min(SOON, pause));
      return true;
    }
    const newest = this.#past.at(-1);
    const left = newest === undefined ? 0 : pause - this.input.secondsSince(newest.at);
    if (left > 0) {
      decision.explain(`the last step of ${this.#name} is too recent: the next is due in ${left} s`).lookAgain(left);
    }
    return left > 0;
  }

  #scale(decision: Decision, to: number, why: string, pause: number): void {
    decision.explain(why).propose(intent.scaleService(this.target, to, this.service.desired, why)).lookAgain(pause);
  }
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}
