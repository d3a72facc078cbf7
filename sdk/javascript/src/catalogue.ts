/** What Balm answers to the queries of its catalogue; see docs/reference/catalogue.md. Times are milliseconds since 1970. */

/** The answer to `ecs:service`. */
export interface Service {
  /** `ACTIVE`, `DRAINING` or `INACTIVE`. */
  readonly status: string;
  readonly desired: number;
  readonly running: number;
  readonly pending: number;
  readonly "task-definition": string;
  /** Rollouts under way and the one in place, newest first. One when the service is steady. */
  readonly deployments: readonly Deployment[];
  readonly tags: Readonly<Record<string, string>>;
}

/** One rollout of a service. */
export interface Deployment {
  readonly id: string;
  readonly status: string;
  readonly desired: number;
  readonly running: number;
  readonly pending: number;
  readonly failed: number;
  readonly "created-at": number;
  readonly "rollout-state": string;
}
