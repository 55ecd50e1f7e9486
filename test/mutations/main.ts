// npm run mutations [-- --answers 200000 --seed N]: servers of every kind say mutated answers, events and
// lines to their own user. Exits 1 unless the daemon is the one that was started, the neighbour's calls
// were all answered, and nothing of the daemon's own threw.
import { parseArgs } from "node:util";
import { startDaemonProcess } from "../helpers/daemon-process.ts";
import { MUTATIONS_CONFIG, sayMutations } from "./mutations.ts";

const { values } = parseArgs({
  options: { answers: { type: "string", default: "200000" }, seed: { type: "string" } },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed);
console.log(`seed ${seed}`);
const daemon = await startDaemonProcess(MUTATIONS_CONFIG);
try {
  const [alice, bob] = [
    await daemon.addUser("alice", "token-of-alice"),
    await daemon.addUser("bob"),
  ];
  const figures = await sayMutations({
    port: Number(new URL(daemon.origin).port),
    alice: alice.key.secret,
    bob: bob.key.secret,
    seed,
    answers: Number(values.answers),
    onProgress: (words) => console.error(words),
  });
  const { pid } = (await daemon.cli(["status"])) as { pid: number };
  const contained = daemon.log().match(/"owner":/g)?.length ?? 0;
  console.log(
    JSON.stringify({ seed, ...figures, isSameDaemon: pid === daemon.pid, contained }, null, 2),
  );
  const { neighbour } = figures;
  const isWell = pid === daemon.pid && neighbour.answered === neighbour.calls && contained === 0;
  if (!isWell) process.exitCode = 1;
} finally {
  await daemon.stop();
}
