// npm run torture [-- --rounds 200 --seed N --level sandbox|none]: kills the daemon at random points of its work.
import { parseArgs } from "node:util";
import { torture } from "./torture.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "200" },
    seed: { type: "string", default: String(Date.now() % 1e9) },
    level: { type: "string", default: "sandbox" },
  },
});
if (values.level !== "none" && values.level !== "sandbox") {
  console.error(`--level ${values.level}: is "none" or "sandbox"`);
  process.exit(2);
}
const again = `npm run torture -- --level ${values.level} --rounds ${values.rounds} --seed ${values.seed}`;
console.log(again);
try {
  const { rounds, acknowledged, reaped } = await torture({
    rounds: Number(values.rounds),
    seed: Number(values.seed),
    level: values.level,
    graceMs: 2_000,
    onRound: (line) => console.log(line),
  });
  console.log(
    `${rounds} kills: ${acknowledged} acknowledged writes, none lost; ${reaped} processes left by kills, all ended by the next start`,
  );
} catch (error) {
  console.error(`failed; again with: ${again}`);
  console.error(error);
  process.exitCode = 1;
}
