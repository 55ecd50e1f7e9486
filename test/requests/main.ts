// npm run requests [-- --messages 1000000 --seed N]: connections with plain, odd and broken messages, cut
// anywhere, to a server with the own reader and to one without. Exits 1 where both understood something
// else.
import { parseArgs } from "node:util";
import { sayRequests } from "./requests.ts";

const { values } = parseArgs({
  options: { messages: { type: "string", default: "1000000" }, seed: { type: "string" } },
});
const MEAN_OF_A_CONNECTION = 2.25;
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed);
console.log(`seed ${seed}`);
const connections = Math.ceil(Number(values.messages) / MEAN_OF_A_CONNECTION);
const { differing, ...figures } = await sayRequests({
  seed,
  connections,
  onProgress: (words) => console.error(words),
});
for (const one of differing) console.log(one);
console.log(JSON.stringify({ seed, ...figures, differing: differing.length }));
if (differing.length > 0) process.exitCode = 1;
