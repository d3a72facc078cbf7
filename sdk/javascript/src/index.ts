/**
 * Write remediation policies for Balm in TypeScript or JavaScript.
 *
 * A policy is a pure function: `evaluate` gets everything it may know and returns a decision. It asks with
 * `input.ecsService(target)`; where Balm has not read that yet, the evaluation ends there, Balm reads, and evaluates again.
 */

export { Decision, type Intent, intent } from "./decision.js";
export { type Alert, Failed, Input, type PastIntent, type Trigger, nameOf } from "./input.js";
export { type Policy, policy } from "./policy.js";
export { log } from "./log.js";
export type { Deployment, Service } from "./catalogue.js";
export type { Property, Schema } from "./settings.js";
