import { Agent, request } from "node:http";
import type { IncomingMessage } from "node:http";
import type { Command } from "commander";
import { ERROR_CODES, SupervisorError, isClosed } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import type { ErrorBody } from "../http/error-response.ts";
import { globalsOf } from "./output.ts";

/** A client of the control API; every call rejects with the error that the daemon answered, or with DAEMON_UNREACHABLE. */
export interface ControlClient {
  readonly socket: string;
  call<T>(
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    body?: object,
  ): Promise<T>;
  /** The answer to an order that is no JSON, to be read to its end; one that breaks off is an error of the stream. */
  fetch(path: string): Promise<IncomingMessage>;
  /** Hands over each document of an NDJSON answer; resolves when the daemon ends it. */
  follow(path: string, onDocument: (document: unknown) => void): Promise<void>;
}

/** A path with its pieces escaped and its query; undefined query values are left out. */
export function apiPath(
  pieces: readonly string[],
  query: Record<string, string | undefined> = {},
): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) search.set(name, value);
  const text = search.toString();
  return `/api/${pieces.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`;
}

function unreachable(socket: string, cause: NodeJS.ErrnoException): SupervisorError {
  const why = isClosed(cause)
    ? `this account may not open ${socket}`
    : cause.code === "ENOENT" || cause.code === "ECONNREFUSED"
      ? `no daemon answers on ${socket}`
      : `the connection to the daemon on ${socket} broke (${cause.code ?? cause.message})`;
  return new SupervisorError("DAEMON_UNREACHABLE", why, { cause });
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

async function* linesOf(answer: IncomingMessage): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of answer.setEncoding("utf8") as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

/** The daemon's refusal as an error of ours; the body stays with it as its cause, so that `--json` can show it as it came. */
function refusal(text: string): SupervisorError {
  let body: ErrorBody;
  try {
    body = JSON.parse(text) as ErrorBody;
  } catch (cause) {
    return new SupervisorError("INTERNAL", "the daemon answered something that is not JSON", {
      cause,
    });
  }
  const { type, message, details } = body.error;
  const code = Object.hasOwn(ERROR_CODES, type) ? (type as ErrorCode) : "INTERNAL";
  return new SupervisorError(code, message, { cause: body, details });
}

/** A client for the daemon behind a unix socket; nothing is opened before the first call. */
export function createControlClient(socket: string): ControlClient {
  const agent = new Agent({ keepAlive: false });

  const send = async (method: string, path: string, body?: object): Promise<IncomingMessage> =>
    await new Promise<IncomingMessage>((resolve, reject) => {
      const text = ["POST", "PUT", "PATCH"].includes(method)
        ? JSON.stringify(body ?? {})
        : undefined;
      const headers =
        text === undefined
          ? {}
          : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
      const call = request(
        { socketPath: socket, agent, method, path, headers: { host: "localhost", ...headers } },
        resolve,
      );
      call.on("error", (error) => reject(unreachable(socket, error)));
      call.end(text);
    });

  const finish = async (answer: IncomingMessage): Promise<string> => {
    const text = await textOf(answer).catch((error: unknown) => {
      throw unreachable(socket, error as NodeJS.ErrnoException);
    });
    if ((answer.statusCode ?? 500) >= 400) throw refusal(text);
    return text;
  };

  return {
    socket,
    call: async <T>(method: string, path: string, body?: object) =>
      JSON.parse(await finish(await send(method, path, body))) as T,
    fetch: async (path) => {
      const answer = await send("POST", path);
      if (answer.statusCode !== 200) await finish(answer);
      return answer;
    },
    follow: async (path, onDocument) => {
      const answer = await send("GET", path);
      if (answer.statusCode !== 200) {
        await finish(answer);
        return;
      }
      try {
        for await (const line of linesOf(answer)) onDocument(JSON.parse(line));
      } catch (error) {
        throw unreachable(socket, error as NodeJS.ErrnoException);
      }
    },
  };
}

/** The client for the daemon of the config that this command line leads to. */
export async function clientFor(command: Command): Promise<ControlClient> {
  // Loaded here, because the schema library costs more start-up time than all the rest of the CLI.
  const { loadConfig } = await import("../config/config.ts");
  return createControlClient(loadConfig({ path: globalsOf(command).config }).controlSocket);
}
