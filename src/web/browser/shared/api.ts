/** Why there is no answer: `type` is the code of the error catalogue, `OFFLINE` where nobody answered. */
export class Refusal extends Error {
  readonly type: string;
  readonly status: number;
  readonly requestId: string;

  constructor(type: string, message: string, { status = 0, requestId = "" } = {}) {
    super(message);
    this.type = type;
    this.status = status;
    this.requestId = requestId;
  }
}

export interface ApiOptions {
  /** Where the paths begin; ends with a slash. */
  readonly base: URL;
  /** Further headers of each request: a session token where there is no cookie. */
  readonly headers?: () => Readonly<Record<string, string>>;
  /** The session is over: called at a 401, before the call rejects with it. */
  readonly onOut?: () => void;
}

type Method = "POST" | "PUT" | "PATCH" | "DELETE";

/** The JSON API of this origin. Every call rejects with a Refusal. */
export class Api {
  readonly #options: ApiOptions;

  constructor(options: ApiOptions) {
    this.#options = options;
  }

  async get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return (await this.#ask("GET", path, undefined, signal)) as T;
  }

  /** Every write is JSON, and says so, that no page of another origin can send it. */
  async send<T>(
    method: Method,
    path: string,
    body: unknown = {},
    signal?: AbortSignal,
  ): Promise<T> {
    return (await this.#ask(method, path, JSON.stringify(body), signal)) as T;
  }

  /** As `send`, for what is JSON text already: numbers stay as they were typed. */
  async sendText<T>(method: Method, path: string, text: string, signal?: AbortSignal): Promise<T> {
    return (await this.#ask(method, path, text, signal)) as T;
  }

  async #ask(
    method: "GET" | Method,
    path: string,
    body: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const { base, headers = () => ({}), onOut } = this.#options;
    const isWrite = body !== undefined;
    const written: Record<string, string> = isWrite
      ? { "content-type": "application/json", "x-mcp-supervisor": "1" }
      : {};
    const answer = await this.#fetch(new URL(path, base), {
      method,
      headers: { accept: "application/json", ...written, ...headers() },
      ...(isWrite ? { body } : {}),
      ...(signal === undefined ? {} : { signal }),
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
    });
    const value = await jsonOf(answer);
    if (answer.ok) return value;
    if (answer.status === 401) onOut?.();
    throw refusalIn(answer, value);
  }

  async #fetch(url: URL, init: RequestInit): Promise<Response> {
    try {
      return await fetch(url, init);
    } catch (error) {
      const isCancelled = init.signal?.aborted === true;
      throw new Refusal(isCancelled ? "CANCELLED" : "OFFLINE", String(error));
    }
  }
}

async function jsonOf(answer: Response): Promise<unknown> {
  try {
    const text = await answer.text();
    return text === "" ? {} : (JSON.parse(text) as unknown);
  } catch (error) {
    throw new Refusal("OFFLINE", String(error), { status: answer.status });
  }
}

interface RefusalBody {
  type?: string;
  message?: string;
  /** What else there is to say, which admins are told. */
  details?: readonly string[];
  requestId?: string;
}

function refusalIn({ status }: Response, value: unknown): Refusal {
  const { error } = (value ?? {}) as { error?: RefusalBody };
  const { type = "OTHER", message = String(status), details = [], requestId = "" } = error ?? {};
  return new Refusal(type, [message, ...details].join("; "), { status, requestId });
}

/** Where the daemon's paths begin, as this browser sees them: the modules stand two folders below. */
export const publicBase = (moduleUrl: string): URL => new URL("../../", moduleUrl);
