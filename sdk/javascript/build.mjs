#!/usr/bin/env node
// Builds a policy as a component: `node build.mjs POLICY.ts OUT.wasm`. The policy is the module's default export.
//
// TypeScript's compiler makes JavaScript of it and of what it imports, and componentize-qjs puts that into QuickJS, for the
// contract in BALM_WIT or in the clone of Balm that this file lies in. It imports nothing but Balm's log.

import { spawnSync } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(realpathSync(fileURLToPath(import.meta.url)));
const [source, out] = process.argv.slice(2);
if (source === undefined || out === undefined) {
  console.error("usage: node build.mjs POLICY.ts OUT.wasm");
  process.exit(2);
}
const wit = process.env.BALM_WIT ?? join(here, "../../wit/0.1.0");
const made = mkdtempSync(join(tmpdir(), "balm-build-"));
try {
  build(resolve(source));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(made, { recursive: true });
}

function build(policy) {
  const root = common(policy, join(here, "src/policy.ts"));
  const options = ["--target", "es2022", "--module", "nodenext", "--strict", "--allowJs"];
  run("tsc", [...options, "--rootDir", root, "--outDir", made, policy, join(here, "src/policy.ts"), join(here, "src/log.ts")]);
  const from = (file) => `./${relative(root, file).replace(/\.[mc]?ts$/, ".js")}`;
  const entry = join(made, "balm-entry.js");
  writeFileSync(
    entry,
    `import { write } from "balm:policy/log@0.1.0";
import policy from ${JSON.stringify(from(policy))};
import { logTo } from ${JSON.stringify(from(join(here, "src/log.ts")))};
import { plugin as of } from ${JSON.stringify(from(join(here, "src/policy.ts")))};
logTo(write);
export const plugin = of(policy);
`,
  );
  const stubbed = ["--stub-wasi", "--sync", "--opt-size"];
  run("componentize-qjs", ["--wit", wit, "--js", entry, "--module-root", made, ...stubbed, "-o", resolve(out)]);
}

/** The innermost directory that holds both files. */
function common(one, other) {
  let dir = dirname(one);
  while (relative(dir, other).startsWith("..")) dir = dirname(dir);
  return dir;
}

/** A tool, from the node_modules of this SDK, of the project, or of what PATH names. */
function run(tool, args) {
  const bins = [join(here, "node_modules/.bin"), resolve("node_modules/.bin"), process.env.PATH].join(":");
  const env = { ...process.env, PATH: bins };
  const { status, error, stdout, stderr } = spawnSync(tool, args, { env, encoding: "utf8" });
  if (status !== 0) {
    const why = error === undefined ? `ended with ${status}` : `cannot be run (${error.message}): npm install`;
    throw new Error(`${stdout ?? ""}${stderr ?? ""}${tool} ${why}`);
  }
}
