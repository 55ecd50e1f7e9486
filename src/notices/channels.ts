import { createHmac } from "node:crypto";
import type { NoticeDef } from "../config/config.ts";
import { secureProblem } from "../config/strings.ts";
import { SupervisorError } from "../errors.ts";
import { objectIn, postOnce } from "../platform/post.ts";
import type { PostAnswer } from "../platform/post.ts";
import { readSecretFile } from "../platform/secret-file.ts";
import type { Trouble } from "./trouble.ts";

const TIMEOUT_MS = 10_000;
/** A summary of many names the first only. */
const MAX_SUBJECTS = 100;
/** A shorter path may stand in other text by accident, and is no secret. */
const MIN_SECRET_PATH = 20;

/** One message, as it is sent. */
export interface Message {
  event: Trouble["kind"] | "test";
  text: string;
  about: readonly Trouble[];
  /** Epoch ms. */
  at: number;
}

/** Keeps a secret out of all output, under that name. */
export type Hide = (name: string, secret: string) => unknown;

/** Sends to one place. Rejects with a SupervisorError that says why it was not taken, and nothing secret. */
export async function sendTo(
  def: NoticeDef,
  message: Message,
  hide: Hide,
  closing: AbortSignal,
): Promise<void> {
  const url = urlOf(def, hide);
  const body = JSON.stringify(bodyOf(def, message, hide));
  const headers = { "content-type": "application/json; charset=utf-8" };
  const signal = AbortSignal.any([closing, AbortSignal.timeout(TIMEOUT_MS)]);
  let answer: PostAnswer;
  try {
    answer = await postOnce({ url, headers, body }, signal);
  } catch (error) {
    if (error instanceof SupervisorError) throw error;
    const { code = "no answer" } = error as NodeJS.ErrnoException;
    throw refused(signal.aborted ? "it did not answer in time" : `it cannot be reached (${code})`);
  }
  const why = refusalIn(def, answer);
  if (why !== undefined) throw refused(why);
}

const refused = (why: string): SupervisorError => new SupervisorError("UPSTREAM_REFUSED", why);

/** Read each time, so that a new one needs no restart. */
function urlOf({ urlFile }: NoticeDef, hide: Hide): string {
  const url = readSecretFile(urlFile, "the URL of notices").trim();
  hide(`notices ${urlFile}`, url);
  const problem = secureProblem(url);
  if (problem !== undefined)
    throw new SupervisorError("CONFIG_INVALID", `the URL in ${urlFile} ${problem}`);
  const { pathname, search } = new URL(url);
  const place = pathname + search;
  if (place.length >= MIN_SECRET_PATH) hide(`notices ${urlFile} path`, place);
  return url;
}

function bodyOf(def: NoticeDef, message: Message, hide: Hide): object {
  const { event, text, about, at } = message;
  if (def.kind === "slack") return { text: escaped(text) };
  if (def.kind === "feishu")
    return { ...signatureOf(def, hide), msg_type: "text", content: { text: unmarked(text) } };
  const subjects = about
    .slice(0, MAX_SUBJECTS)
    .map(({ about: id, user, server, endsAt, connectUrl }) => ({
      about: id,
      user,
      server,
      endsAt,
      connectUrl,
    }));
  return { event, text, count: about.length, subjects, at };
}

/** What Slack would take for a mention or a link is text. */
const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** Feishu has no way to write `<` as text, and `<at user_id="all">` calls everybody. */
const unmarked = (text: string): string => text.replaceAll("<", "‹").replaceAll(">", "›");

/** As Feishu wants it: the time and the secret are the key, and nothing is what is signed. */
function signatureOf(
  { secretFile }: Extract<NoticeDef, { kind: "feishu" }>,
  hide: Hide,
): { timestamp: string; sign: string } | undefined {
  if (secretFile === undefined) return undefined;
  const secret = readSecretFile(secretFile, "the secret of notices");
  hide(`notices ${secretFile}`, secret);
  const timestamp = String(Math.floor(Date.now() / 1000));
  const sign = createHmac("sha256", `${timestamp}\n${secret}`).update("").digest("base64");
  return { timestamp, sign };
}

/** Feishu says 200 to everything, and what it means by a code. */
function refusalIn({ kind }: NoticeDef, { status, body }: PostAnswer): string | undefined {
  if (status < 200 || status > 299) return `it answered with ${status}`;
  if (kind !== "feishu") return undefined;
  const { code, StatusCode = code } = objectIn(body);
  if (StatusCode === 0) return undefined;
  return typeof StatusCode === "number"
    ? `it answered with code ${StatusCode}`
    : "its answer is not Feishu's";
}
