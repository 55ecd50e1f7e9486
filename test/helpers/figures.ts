import assert from "node:assert/strict";
import type { TestContext } from "node:test";

/** What a machine at rest must reach, and a busy one need not: set by whoever runs the tests on one. */
const IS_JUDGED = process.env["MCP_SUPERVISOR_FIGURES"] === "1";

/** Tells what something took; holds it against its limit where figures are judged. */
export function figure(t: TestContext, what: string, tookMs: number, limitMs: number): void {
  const line = `${what}: ${tookMs.toFixed(1)} ms (≤ ${limitMs} ms)`;
  t.diagnostic(line);
  assert.ok(!IS_JUDGED || tookMs <= limitMs, line);
}
