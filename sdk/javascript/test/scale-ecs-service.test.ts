/** The policy without Wasm. Its decisions are compared with the Rust policy's by Balm's own tests; here are the SDK's promises. */

import assert from "node:assert/strict";
import { test } from "node:test";

import policy from "../examples/scale-ecs-service.js";
import { plugin } from "../src/policy.js";
import { Scene, scaled, service } from "../src/testing.js";

const WEB = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";
const API = "arn:aws:ecs:eu-central-1:123456789012:service/prod/api";
const SETTINGS = { minimum: 2, maximum: 10 };

test("a firing alert adds a step, after Balm was asked for what is there", () => {
  const decision = Scene.firing("HighCpu").settings(SETTINGS).service(WEB, service(4)).decide(policy);
  assert.deepEqual([decision.intents[0]?.parameters, decision.lookAgainAfter], ['{"desired":6}', 300]);
});

test("several targets are asked for in one round", () => {
  const scene = Scene.firing("HighCpu").settings(SETTINGS).service(WEB, service(4)).service(API, service(10));
  assert.match(scene.decide(policy).explanation, /^web .*; api /);
});

test("a reading that failed is a failure and not a guess", () => {
  const scene = Scene.firing("HighCpu").settings(SETTINGS).service(WEB);
  assert.throws(() => scene.decide(policy), /^ecs:service of .* could not be read: the scene gives no such reading$/);
});

test("what is on its way is waited for", () => {
  const scene = Scene.firing("HighCpu").settings(SETTINGS).past(scaled(WEB, 2, 4, 5, "verifying"));
  assert.equal(scene.service(WEB, service(4)).decide(policy).lookAgainAfter, 15);
});

test("settings are refused with what to do, and the schema says which must be given", () => {
  const { validateSettings, describe } = plugin(policy);
  const refused = (settings: unknown) => {
    try {
      validateSettings(JSON.stringify(settings));
      return undefined;
    } catch (why) {
      return why;
    }
  };
  assert.equal(refused(SETTINGS), undefined);
  assert.equal(refused({ minimum: 1 }), "settings: maximum is missing");
  assert.equal(refused({ ...SETTINGS, minimum: 1.5 }), "settings: minimum is no whole number");
  assert.equal(refused({ ...SETTINGS, minimum: -1 }), "settings: minimum is below 0");
  assert.equal(refused({ ...SETTINGS, "low-alerts": "LowCpu" }), "settings: low-alerts is no list of texts");
  assert.match(String(refused({ ...SETTINGS, maxmum: 4 })), /^there is no setting "maxmum"; there are minimum, /);
  assert.equal(refused([]), "settings must be a table");
  assert.deepEqual(JSON.parse(describe().settingsSchema).required, ["minimum", "maximum"]);
});
