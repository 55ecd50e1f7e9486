// Runs the official conformance suites against the dual-era fixture, asked directly and through the
// gateway, and exits 0 only if both give the same answers: exit code, summary line by line, checks.
import { startFixture } from "./fixture.ts";
import { startGatewayTarget } from "./gateway.ts";
import { differences, type Outcome, runSuite, SUITES } from "./suites.ts";

const score = ({ passed, failed }: { passed: number; failed: number }) => `${passed}/${failed}`;

const row = (name: string, direct: string, gateway: string, verdict: string) =>
  console.log(`${name.padEnd(34)}${direct.padEnd(10)}${gateway.padEnd(10)}${verdict}`);

const fixture = await startFixture();
const gateway = await startGatewayTarget().catch(async (error: unknown) => {
  await fixture.close();
  throw error;
});
let isEqual = true;
try {
  row("conformance, passed/failed", "direct", "gateway", "");
  for (const suite of SUITES) {
    const direct: Outcome = await runSuite(suite, fixture.url);
    const through: Outcome = await runSuite(suite, gateway.url);
    const lines = differences(direct, through);
    if (score(direct) !== score(suite))
      lines.push(`the fixture itself scores ${score(direct)} instead of ${score(suite)}`);
    row(suite.name, score(direct), score(through), lines.length === 0 ? "equal" : "DIFFERENT");
    for (const line of lines) console.log(`  ${line}`);
    isEqual &&= lines.length === 0;
  }
} finally {
  await gateway.close();
  await fixture.close();
}
process.exitCode = isEqual ? 0 : 1;
