import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import type { IncomingHttpHeaders, RequestOptions } from "node:http";
import { json as jsonOf } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { endWithUs } from "../helpers/end-with-us.ts";
import { until } from "../helpers/until.ts";

const PROGRAM = fileURLToPath(new URL("../../bin/mcp-supervisor.js", import.meta.url));
const START_MS = 60_000;

interface Serving {
  listen: { port: number };
  controlSocket: string;
}

interface Answer {
  status: number;
  /** The session that it opened. */
  session: string | undefined;
  body: unknown;
}

/** One daemon from its start to its kill. */
export class Life {
  readonly process: ChildProcess;
  readonly ended: Promise<unknown>;
  hasEnded = false;
  #output = "";
  #log = "";
  #serving: Serving | undefined;

  constructor(configFile: string) {
    const argv = ["--no-warnings", PROGRAM, "serve", "--json", "--config", configFile];
    this.process = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "pipe"] });
    endWithUs(this.process);
    this.process.stdout!.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
    this.process.stderr!.setEncoding("utf8").on("data", (text: string) => (this.#log += text));
    this.ended = once(this.process, "close").then(() => (this.hasEnded = true));
  }

  get log(): string {
    return this.#log;
  }

  /** Resolves when it serves; fails with its log when it ends before that. */
  async serves(): Promise<void> {
    await until(() => this.hasEnded || this.#output.includes("\n"), "the daemon serves", START_MS);
    if (!this.#output.includes("\n")) throw new Error(`the daemon ended by itself\n${this.#log}`);
    this.#serving = JSON.parse(this.#output) as Serving;
  }

  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.ended;
  }

  /** A call of the control API: its answer, or undefined when the daemon was killed over it. Fails for a refusal. */
  async control<T>(method: string, path: string, body?: object): Promise<T | undefined> {
    const { controlSocket: socketPath } = this.#serving!;
    const answer = await this.#ask({ socketPath, method, path: `/api${path}` }, body);
    // While the daemon lives, only an answer will do. A kill may be known here a little later.
    if (!answer) await until(() => this.process.killed, `${method} ${path} has its answer`);
    if (answer && answer.status >= 400)
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer?.body as T | undefined;
  }

  /** A POST to the gateway with this key: its answer, or undefined for a connection that was cut, as those of a removed user are. */
  async post(
    path: string,
    key: string,
    body: object,
    session?: string,
  ): Promise<Answer | undefined> {
    const headers = {
      authorization: `Bearer ${key}`,
      accept: "application/json, text/event-stream",
      ...(session === undefined ? {} : { "mcp-session-id": session }),
    };
    const { port } = this.#serving!.listen;
    return await this.#ask({ host: "127.0.0.1", port, method: "POST", path, headers }, body);
  }

  async #ask(
    options: Omit<RequestOptions, "headers"> & { headers?: Record<string, string> },
    body: object | undefined,
  ): Promise<Answer | undefined> {
    const headers = { ...options.headers, "content-type": "application/json" };
    const req = request({ ...options, headers, agent: false });
    req.end(body === undefined ? undefined : JSON.stringify(body));
    try {
      const [res] = (await once(req, "response")) as [
        NodeJS.ReadableStream & { statusCode: number; headers: IncomingHttpHeaders },
      ];
      const text = await jsonOf(res).catch((error: unknown) => {
        if (error instanceof SyntaxError) return null;
        throw error;
      });
      const session = res.headers["mcp-session-id"] as string | undefined;
      return { status: res.statusCode, session, body: text };
    } catch {
      return undefined;
    }
  }
}
