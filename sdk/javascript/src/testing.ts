/** Testing policies without Wasm: scenes that Balm could bring about, played with all rounds. */

import type { Service } from "./catalogue.js";
import type { RawAnswer, RawDecision, RawInput, RawPastIntent, RawQuery } from "./contract.js";
import { type Policy, plugin } from "./policy.js";

/** The time of a scene: a Monday noon in 2026. */
export const NOW = 1_795_435_200_000;

const ROUNDS = 4;

/** An evaluation in the making. */
export class Scene {
  readonly #input: RawInput;
  readonly #services = new Map<string, Service>();

  private constructor(name: string, status: "firing" | "resolved") {
    this.#input = {
      alert: {
        source: "grafana",
        org: "1",
        fingerprint: "c6eadffa33fcdf37",
        status,
        name,
        labels: [["alertname", name]],
        annotations: [],
        values: [["A", 95]],
        startsAt: NOW - 60_000,
        endsAt: status === "resolved" ? NOW : null,
      },
      policy: "policy",
      targets: [],
      settings: "{}",
      answers: [],
      trigger: status === "firing" ? "fired" : "resolved",
      history: [],
      now: NOW,
      seed: 1,
      extra: "{}",
    };
  }

  static firing(name: string): Scene {
    return new Scene(name, "firing");
  }

  static resolved(name: string): Scene {
    return new Scene(name, "resolved");
  }

  settings(settings: Record<string, unknown>): this {
    this.#input.settings = JSON.stringify(settings);
    return this;
  }

  trigger(trigger: string): this {
    this.#input.trigger = trigger;
    return this;
  }

  /** A target more, and what Balm reads there. */
  service(arn: string, service?: Service): this {
    this.#input.targets.push(arn);
    if (service !== undefined) this.#services.set(arn, service);
    return this;
  }

  /** An intent of the past more; the newest last. */
  past(past: RawPastIntent): this {
    this.#input.history.push(past);
    return this;
  }

  /** Run the policy as Balm does. Throws the text of a failure. */
  decide<S>(policy: Policy<S>): RawDecision {
    const { validateSettings, evaluate } = plugin(policy);
    validateSettings(this.#input.settings);
    for (let round = 0; round < ROUNDS; round += 1) {
      const outcome = evaluate(this.#input);
      if (outcome.tag === "decided") return outcome.val;
      this.#input.answers.push(...outcome.val.map((query) => this.#answer(policy.queries, query)));
    }
    throw `it needs more than ${ROUNDS} rounds`;
  }

  #answer(declared: readonly string[], query: RawQuery): RawAnswer {
    if (!declared.includes(query.kind)) throw `it asks ${query.kind}, which it does not declare`;
    const service = this.#services.get(query.target);
    const reading: RawAnswer["reading"] =
      service === undefined
        ? { tag: "err", val: "the scene gives no such reading" }
        : { tag: "ok", val: JSON.stringify(service) };
    return { query, reading, at: NOW };
  }
}

/** A steady service that runs so many tasks. */
export function service(tasks: number): Service {
  const counts = { desired: tasks, running: tasks, pending: 0 };
  const deployment = {
    id: "ecs-svc/1",
    status: "PRIMARY",
    ...counts,
    failed: 0,
    "created-at": NOW - 3_600_000,
    "rollout-state": "COMPLETED",
  };
  return { status: "ACTIVE", ...counts, "task-definition": "web:7", deployments: [deployment], tags: {} };
}

/** An intent of the past that scaled a service, this long ago. */
export function scaled(target: string, from: number, to: number, secondsAgo: number, state: string): RawPastIntent {
  const [before, after] = [from, to].map((desired) => JSON.stringify({ desired })) as [string, string];
  return { action: "ecs:scale-service", target, at: NOW - secondsAgo * 1000, state, before, after };
}
