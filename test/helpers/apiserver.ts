import { createServer } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { makeCertificate } from "./proxies.ts";
import { temporaryFolder } from "./temporary-folder.ts";

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export interface Apiserver {
  readonly url: URL;
  /** The text of its certificate, which is its CA's, too. */
  readonly ca: string;
  /** What it was asked, as `GET /path?query`, and by whom. */
  readonly asked: { readonly what: string; readonly by: string | undefined }[];
}

/** An HTTPS server that answers requests in turn with these, and the last of them from then on. */
export async function serveApi(t: TestContext, answers: readonly Answer[]): Promise<Apiserver> {
  const { key, cert } = makeCertificate(temporaryFolder(t));
  const ca = readFileSync(cert, "utf8");
  const asked: Apiserver["asked"] = [];
  const server = createServer({ key: readFileSync(key), cert: ca }, (request, response) => {
    const what = `${request.method} ${request.url}`;
    asked.push({ what, by: request.headers.authorization });
    const answer = answers[Math.min(asked.length, answers.length) - 1]!;
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: new URL(`https://localhost:${port}`), ca, asked };
}

export const says =
  (status: number, body: object, headers: Readonly<Record<string, string>> = {}): Answer =>
  (_request, response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(body));
  };
