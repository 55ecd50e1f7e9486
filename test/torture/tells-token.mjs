// A server over stdio whose tool `tell` answers, after `ms`, with the token that it was started with.
import { createInterface } from "node:readline";

const say = (id, result) =>
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, result })}\n`);

function answer({ id, method, params }) {
  if (id === undefined) return;
  if (method === "initialize") {
    const { protocolVersion } = params;
    const serverInfo = { name: "tells-token", version: "1" };
    return say(id, { protocolVersion, capabilities: { tools: {} }, serverInfo });
  }
  if (method !== "tools/call") return say(id, {});
  const content = [{ type: "text", text: process.env.USER_ACCESS_TOKEN }];
  setTimeout(() => say(id, { content }), params.arguments.ms);
}

createInterface({ input: process.stdin })
  .on("line", (line) => answer(JSON.parse(line)))
  .on("close", () => process.exit(0));
