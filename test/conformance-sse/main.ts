// Checks a server of the legacy HTTP+SSE transport (MCP 2024-11-05), for which the official suite has
// nothing: node test/conformance-sse/main.ts URL [--header 'name: value']... [--json] [--slow]
// [--only ID]... [--timeout MS]. Exits 0 if nothing fails, 1 if something does, 2 for bad arguments.
import { parseArgs } from "node:util";
import { exitCodeOf, summaryOf, troublesOf } from "./report.ts";
import { runChecks } from "./suite.ts";

function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      header: { type: "string", multiple: true, default: [] },
      json: { type: "boolean", default: false },
      slow: { type: "boolean", default: false },
      only: { type: "string", multiple: true },
      timeout: { type: "string", default: "5000" },
    },
  });
  const [url = ""] = positionals;
  if (positionals.length !== 1 || !/^https?:/.test(url)) throw new Error("one http URL is needed");
  const headers = values.header.map((line): [string, string] => {
    const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) throw new Error("a header is 'name: value'");
    return [name, value];
  });
  return { ...values, url: new URL(url), headers: Object.fromEntries(headers) };
}

let given;
try {
  given = readArguments();
} catch (error) {
  console.error(
    `usage: main.ts URL [--header 'name: value'] [--json] [--slow] [--only ID] [--timeout MS]`,
  );
  console.error((error as Error).message);
  process.exit(2);
}

const results = await runChecks(given.url, {
  headers: given.headers,
  isSlow: given.slow,
  only: given.only,
  timeoutMs: Number(given.timeout),
});
if (given.json) console.log(JSON.stringify({ results, summary: summaryOf(results).slice(1) }));
else console.log([...troublesOf(results), "", ...summaryOf(results)].join("\n"));
process.exitCode = exitCodeOf(results);
