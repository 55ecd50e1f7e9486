/** What the apiserver refused, or why there was no answer; the message is its own, and holds nothing of a request. */
export class ApiFailure extends Error {
  /** The HTTP status; 0 where none came. */
  readonly status: number;
  /** In a word, as the apiserver has it: `AlreadyExists`, `Forbidden`, `Expired`; empty where none came. */
  readonly reason: string;
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    { status = 0, reason = "", retryAfterMs, cause }: Partial<ApiFailure> = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "ApiFailure";
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }

  /** Nobody knows whether it was done: no answer came, or one that says that it took too long. */
  get isUnknown(): boolean {
    return this.status === 0 || this.status >= 500;
  }
}

/** What keeps the apiserver from answering, in a few words for an admin. */
export function unreachable(host: string, error: unknown): ApiFailure {
  const { code, name, message } = error as NodeJS.ErrnoException;
  const why = name === "TimeoutError" ? "no answer in time" : (code ?? message);
  return new ApiFailure(`the apiserver ${host} cannot be reached (${why})`, { cause: error });
}

/** Of an answer that is no success. `text` is its body, as far as it was read. */
export function refusalIn(
  status: number,
  retryAfter: string | undefined,
  text: string,
): ApiFailure {
  const { message, reason, details } = statusIn(text);
  const seconds = Number(retryAfter ?? details?.retryAfterSeconds);
  const said = message ?? `the apiserver answered ${status}`;
  const retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : undefined;
  return new ApiFailure(said, { status, reason: reason ?? "", retryAfterMs });
}

interface Status {
  readonly message?: string;
  readonly reason?: string;
  readonly details?: { readonly retryAfterSeconds?: number };
}

function statusIn(text: string): Status {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}
