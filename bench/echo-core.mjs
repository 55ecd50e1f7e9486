// Shared, dependency-free MCP message handling for the echo children.
// Tools: echo {message} | blob {bytes} | sleep {ms, message} | progress {count, message} | flood {bytes}
const TOOLS = [
  ["echo", "Return the message", { message: { type: "string" } }],
  ["blob", "Return N bytes of text", { bytes: { type: "integer" } }],
  [
    "sleep",
    "Return the message after ms",
    { ms: { type: "integer" }, message: { type: "string" } },
  ],
  [
    "progress",
    "Send count notifications, then the message",
    { count: { type: "integer" }, message: { type: "string" } },
  ],
  ["flood", "Send notifications of N bytes in all", { bytes: { type: "integer" } }],
].map(([name, description, properties]) => ({
  name,
  description,
  inputSchema: { type: "object", properties },
}));

const blobs = new Map();
const blob = (n) => {
  let s = blobs.get(n);
  if (s === undefined) blobs.set(n, (s = "x".repeat(n)));
  return s;
};

/** Calls that have come, and are to be answered later. */
export let sleeping = 0;

/** Handle one parsed JSON-RPC message; `send(string)` is called 0..n times with JSON text. */
export function handle(msg, send) {
  const { id, method, params } = msg;
  if (id === undefined || method === undefined) return; // notification, or a response from the client
  const ok = (result) => send(JSON.stringify({ jsonrpc: "2.0", id, result }));
  const text = (t) => ok({ content: [{ type: "text", text: t }] });
  switch (method) {
    case "tools/call": {
      const a = params?.arguments ?? {};
      switch (params?.name) {
        case "echo":
          return text(`Echo: ${a.message}`);
        case "blob":
          return text(blob(Math.min(a.bytes | 0, 64 << 20)));
        case "sleep":
          sleeping += 1;
          return void setTimeout(() => {
            sleeping -= 1;
            text(`Echo: ${a.message}`);
          }, a.ms | 0);
        case "progress": {
          const progressToken = params._meta?.progressToken ?? id;
          for (let i = 1; i <= (a.count | 0); i++)
            send(
              JSON.stringify({
                jsonrpc: "2.0",
                method: "notifications/progress",
                params: { progressToken, progress: i, total: a.count },
              }),
            );
          return text(`Echo: ${a.message}`);
        }
        case "flood": {
          const each = 64 << 10;
          const notification = JSON.stringify({
            jsonrpc: "2.0",
            method: "notifications/message",
            params: { level: "info", data: blob(each) },
          });
          for (let left = a.bytes | 0; left > 0; left -= each) send(notification);
          return text("flooded");
        }
      }
      return send(
        JSON.stringify({
          jsonrpc: "2.0",
          id,
          error: { code: -32602, message: `unknown tool ${params?.name}` },
        }),
      );
    }
    case "initialize":
      return ok({
        protocolVersion: params?.protocolVersion ?? "2024-11-05",
        capabilities: { tools: {} },
        serverInfo: { name: "echo", version: "1.0.0" },
      });
    case "tools/list":
      return ok({ tools: TOOLS });
    case "ping":
      return ok({});
  }
  send(
    JSON.stringify({ jsonrpc: "2.0", id, error: { code: -32601, message: `no method ${method}` } }),
  );
}

export function parseArgs(defaults) {
  const o = { ...defaults };
  const argv = process.argv.slice(2);
  for (let i = 0; i < argv.length; i++) {
    if (!argv[i].startsWith("--")) continue;
    const [k, v] = argv[i].slice(2).split(/=(.*)/s);
    o[k] = v ?? (argv[i + 1] !== undefined && !argv[i + 1].startsWith("--") ? argv[++i] : "true");
  }
  return o;
}
