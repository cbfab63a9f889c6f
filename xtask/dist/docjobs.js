#!/usr/bin/env node
// Starts the docjobs of this platform, which came as a package of its own; nothing is downloaded.
"use strict";

const { spawn } = require("node:child_process");
const path = require("node:path");

const name = `docjobs-${process.platform}-${process.arch}`;
let program;
try {
  program = path.join(path.dirname(require.resolve(`${name}/package.json`)), "bin", "docjobs");
} catch {
  console.error(`docjobs: the package ${name} is missing: install docjobs with its optional dependencies; other ways are in the README`);
  process.exit(1);
}

const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => child.kill(signal));
}
child.on("error", (problem) => {
  console.error(`docjobs: cannot start ${program}: ${problem.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (signal) {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  } else {
    process.exit(code === null ? 1 : code);
  }
});
