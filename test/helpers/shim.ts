import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Shim {
  /** `http://localhost:PORT`; what is asked there is asked of the target. */
  origin: string;
  close: () => Promise<void>;
}

/** Neither name of a hop survives a hop; everything else does, in its order and spelling. */
function headersOnward(raw: string[], extra: string[]): string[] {
  const kept = [...extra];
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] ?? "";
    if (!/^(connection|keep-alive|transfer-encoding|authorization)$/i.test(name))
      kept.push(name, raw[at + 1] ?? "");
  }
  return kept;
}

function pass(target: URL, key: string, req: IncomingMessage, res: ServerResponse): void {
  const onward = request({
    host: target.hostname,
    port: target.port,
    method: req.method,
    path: req.url,
    headers: headersOnward(req.rawHeaders, ["Authorization", `Bearer ${key}`]),
    // Host and Origin stay as the client wrote them: how they are judged is part of what is tested.
    setHost: false,
    agent: false,
  });
  onward.on("response", (answer) => {
    res.writeHead(answer.statusCode ?? 502, headersOnward(answer.rawHeaders, []));
    res.flushHeaders();
    answer.pipe(res);
    answer.on("close", () => {
      if (!answer.complete) res.destroy();
    });
  });
  onward.on("error", () => res.destroy());
  res.on("close", () => onward.destroy());
  req.pipe(onward);
}

/**
 * Opens a door on localhost for clients that cannot send headers: it adds the access key and changes
 * nothing else. Streams both ways, and whichever side goes takes the other with it.
 */
export async function openShim(target: URL, key: string): Promise<Shim> {
  const server = createServer((req, res) => pass(target, key, req, res));
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    origin: `http://localhost:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
