#!/usr/bin/env node
// Minimal MCP echo child over stdio (newline-delimited JSON-RPC).
import { handle } from "./echo-core.mjs";
import { StringDecoder } from "node:string_decoder";
const dec = new StringDecoder("utf8");
let buf = "";
const send = (s) => process.stdout.write(s + "\n");
process.stdin.on("data", (chunk) => {
  buf += dec.write(chunk);
  let from = 0;
  for (let nl; (nl = buf.indexOf("\n", from)) !== -1; from = nl + 1) {
    const line = buf.slice(from, nl);
    if (line.trim()) handle(JSON.parse(line), send);
  }
  buf = buf.slice(from);
});
process.stdin.on("end", () => process.exit(0));
