// hog.mjs memory MIB | fork COUNT | cpu SECONDS | shares MIB: takes that much and no more, says `done`, and stays for a minute at most.
import { spawn } from "node:child_process";

const [kind, amount] = [process.argv[2], Number(process.argv[3])];
setTimeout(() => process.exit(0), 60_000);
if (kind === "memory") {
  const held = [];
  while (held.length < amount) {
    held.push(Buffer.alloc(1 << 20, 1));
    if (held.length % 8 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  globalThis.held = held;
}
if (kind === "fork") {
  for (let count = 0; count < amount; count += 1) {
    const child = spawn("sleep", ["60"], { stdio: "ignore" });
    child.on("error", () => console.log("refused"));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
if (kind === "cpu") for (const end = Date.now() + amount * 1000; Date.now() < end;);
console.log("done");
