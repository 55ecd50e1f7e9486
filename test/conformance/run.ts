// Runs the official conformance suites against the dual-era fixture, asked directly and through the
// gateway, and exits 0 only if both give the same answers: exit code, summary line by line, checks.
import { startDaemonProcess } from "../helpers/daemon-process.ts";
import { startFixture } from "./fixture.ts";
import { FIXTURE_CONFIG, openDoor } from "./gateway.ts";
import { differences, type Outcome, runSuite, SUITES } from "./suites.ts";

const score = ({ passed, failed }: { passed: number; failed: number }) => `${passed}/${failed}`;

const row = (name: string, direct: string, gateway: string, verdict: string) =>
  console.log(`${name.padEnd(34)}${direct.padEnd(10)}${gateway.padEnd(10)}${verdict}`);

/** Prints the table; resolves with whether every row is equal. */
async function compare(directUrl: string, gatewayUrl: string): Promise<boolean> {
  let isEqual = true;
  row("conformance, passed/failed", "direct", "gateway", "");
  for (const suite of SUITES) {
    const direct: Outcome = await runSuite(suite, directUrl);
    const through: Outcome = await runSuite(suite, gatewayUrl);
    const lines = differences(direct, through);
    if (score(direct) !== score(suite))
      lines.push(`the fixture itself scores ${score(direct)} instead of ${score(suite)}`);
    row(suite.name, score(direct), score(through), lines.length === 0 ? "equal" : "DIFFERENT");
    for (const line of lines) console.log(`  ${line}`);
    isEqual &&= lines.length === 0;
  }
  return isEqual;
}

const opened: (() => Promise<void>)[] = [];
try {
  const fixture = await startFixture();
  opened.push(fixture.close);
  const daemon = await startDaemonProcess(FIXTURE_CONFIG);
  opened.push(daemon.stop);
  const door = await openDoor(daemon);
  opened.push(door.close);
  process.exitCode = (await compare(fixture.url, door.url)) ? 0 : 1;
} finally {
  for (const close of opened.toReversed()) await close();
}
