import { canonicalId } from "./envelope.ts";
import { dataOf } from "./sse.ts";

/** What a server made of a call: a result, a result that says the tool failed (`isError`), or a JSON-RPC error. */
export type AnswerOutcome = "ok" | "tool-error" | "error";

interface Answer {
  id?: unknown;
  error?: unknown;
  result?: { isError?: unknown };
}

const NEEDLES = [Buffer.from('"isError"'), Buffer.from('"error"')];

/**
 * What the answer in these bytes says, which are JSON or one event of a stream, or a piece of either.
 * `id` is the request's, as `canonicalId` has it, for the case that there are several answers.
 *
 * Nearly every answer holds neither word outside of a string (within one the quotes are escaped), and
 * is not read at all.
 */
export function outcomeOf(bytes: Buffer, id?: string): AnswerOutcome {
  if (!NEEDLES.some((needle) => bytes.includes(needle))) return "ok";
  const first = bytes[0];
  const isJson = first === 0x7b || first === 0x5b;
  const text = isJson ? bytes.toString("utf8") : dataOf(bytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // A piece of something long; an error is never so long.
    return /"isError"\s*:\s*true/.test(text) ? "tool-error" : "ok";
  }
  const answers = (Array.isArray(value) ? value : [value]) as Answer[];
  const ours = answers.filter((answer) => isAnswerTo(answer, id, answers.length));
  if (ours.some(({ error }) => error !== undefined)) return "error";
  return ours.some(({ result }) => result?.isError === true) ? "tool-error" : "ok";
}

function isAnswerTo(answer: Answer, id: string | undefined, count: number): boolean {
  if (typeof answer !== "object" || answer === null) return false;
  return id === undefined || count === 1 || canonicalId(JSON.stringify(answer.id ?? null)) === id;
}
