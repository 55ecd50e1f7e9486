// Runs the official conformance suites and ours for the legacy SSE transport against the dual-era
// fixture, asked directly and through the gateway. Exits 0 only if the official ones give the same
// answers both ways (exit code, summary line by line, checks) and ours has no failure through the
// gateway and loses nothing there. `--slow` adds the checks of ours that take long.
import {
  besides,
  exitCodeOf,
  losses,
  scoreOf,
  summaryOf,
  troublesOf,
} from "../conformance-sse/report.ts";
import { runChecks } from "../conformance-sse/suite.ts";
import { startDaemonProcess } from "../helpers/daemon-process.ts";
import { startFixture } from "./fixture.ts";
import { type Door, FIXTURE_CONFIG, openDoor } from "./gateway.ts";
import { bridgeDifferences, differences, type Outcome, runSuite, SUITES } from "./suites.ts";

const score = ({ passed, failed }: { passed: number; failed: number }) => `${passed}/${failed}`;

const row = (name: string, direct: string, gateway: string, verdict: string) =>
  console.log(`${name.padEnd(50)}${direct.padEnd(10)}${gateway.padEnd(10)}${verdict}`);

/** Prints the table; resolves with whether every row is as it should be. */
async function compare(directUrl: string, ways: Door["http"]): Promise<boolean> {
  let isGood = true;
  row("conformance, passed/failed", "direct", "gateway", "");
  for (const suite of SUITES) {
    const direct: Outcome = await runSuite(suite, directUrl);
    if (score(direct) !== score(suite)) {
      console.log(`  the fixture itself scores ${score(direct)} instead of ${score(suite)}`);
      isGood = false;
    }
    for (const { between, url, eras } of ways) {
      if (!eras.includes(suite.era)) continue;
      const through: Outcome = await runSuite(suite, url);
      const lines = (between === "relay" ? differences : bridgeDifferences)(direct, through);
      const says = score(direct) === score(through) ? "equal" : "nothing failed, some not made";
      row(
        `${suite.name}, ${between}`,
        score(direct),
        score(through),
        lines.length === 0 ? says : "DIFFERENT",
      );
      for (const line of lines) console.log(`  ${line}`);
      isGood &&= lines.length === 0;
    }
  }
  return isGood;
}

/** Our suite, directly and through everything that can lie between; prints rows and summaries. */
async function compareSse(directUrl: string, { ways, headers }: Door["sse"]): Promise<boolean> {
  const isSlow = process.argv.includes("--slow");
  const direct = await runChecks(new URL(directUrl), { isSlow });
  const summaries = ["", "legacy SSE, direct", ...troublesOf(direct), ...summaryOf(direct)];
  let isGood = true;
  for (const { between, url, inherent } of ways) {
    const through = await runChecks(url, { headers, isSlow });
    const lost = losses(direct, through, inherent);
    const explained = Object.keys(inherent).length;
    const verdict = explained === 0 ? "nothing lost" : `${explained} lost for a reason`;
    const says = lost.length === 0 ? verdict : "WORSE";
    row(`legacy SSE, ${between}`, scoreOf(direct), scoreOf(through), says);
    for (const line of lost) console.log(`  ${line}`);
    for (const [id, why] of Object.entries(inherent)) console.log(`  ${id}: ${why}`);
    const troubles = troublesOf(through);
    summaries.push("", `legacy SSE, ${between}`, ...troubles, ...summaryOf(through));
    isGood &&= lost.length === 0 && exitCodeOf(besides(inherent, through)) === 0;
  }
  console.log(summaries.join("\n"));
  return isGood;
}

const opened: (() => Promise<void>)[] = [];
try {
  const fixture = await startFixture();
  opened.push(fixture.close);
  const daemon = await startDaemonProcess(FIXTURE_CONFIG);
  opened.push(daemon.stop);
  const door = await openDoor(daemon);
  opened.push(door.close);
  const sse = await startFixture("--sse");
  opened.push(sse.close);
  const isEqual = await compare(fixture.url, door.http);
  const isGood = await compareSse(sse.url, door.sse);
  process.exitCode = isEqual && isGood ? 0 : 1;
} finally {
  for (const close of opened.toReversed()) await close();
}
