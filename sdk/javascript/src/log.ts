/** The plugin's log: for the plugin's author, no part of the decision. */

type Write = (level: "debug" | "info" | "warn", message: string) => void;

let write: Write = () => {};

/** Where lines go: to Balm in a component, to the test in a test. */
export function logTo(sink: Write): void {
  write = sink;
}

export const log = {
  debug: (message: string) => write("debug", message),
  info: (message: string) => write("info", message),
  warn: (message: string) => write("warn", message),
};
