// 100,000 calls (or as many as the argument says) of one shared stdio child from 16 sessions over
// both fronts, all with the same request ids. Exits 0 only if every answer came to its asker.
import { startDaemonProcess } from "../helpers/daemon-process.ts";
import { callFromAllSides, SHARED_CONFIG } from "./mixups.ts";

const calls = Number(process.argv[2] ?? 100_000);
const daemon = await startDaemonProcess(SHARED_CONFIG);
try {
  const { key } = await daemon.addUser("alice");
  const tallies = await callFromAllSides(daemon.origin, "alice", key.secret, calls);
  const { instances } = (await daemon.cli(["status"])) as { instances: object[] };
  for (const {
    transport,
    sessions,
    callsPerSec,
    errors,
    strays,
    errorSamples,
    ...tally
  } of tallies)
    console.log(
      `${transport}: ${tally.calls} calls from ${sessions} sessions, ${callsPerSec}/s, ${errors} wrong or missing, ${strays} astray`,
      ...errorSamples,
    );
  console.log(`children: ${instances.length}`);
  const isGood = tallies.every(({ errors, strays }) => errors === 0 && strays === 0);
  process.exitCode = isGood && instances.length === 1 ? 0 : 1;
} finally {
  await daemon.stop();
}
