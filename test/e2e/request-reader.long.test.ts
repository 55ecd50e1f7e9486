import { test } from "node:test";
import { runTestFiles } from "../helpers/run-test-files.ts";

// The same files run in `npm test` with the own reader, as users have it.
const FILES = ["raw-requests", "impersonation", "edge", "streams", "request-ids"];

test('with "requestReader": "node" raw requests, impersonation and the edge are as with the own reader', async () => {
  const files = FILES.map((name) => new URL(`./${name}.test.ts`, import.meta.url));
  await runTestFiles(files, { TEST_REQUEST_READER: "node" });
});
