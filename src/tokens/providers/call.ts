import { postOnce } from "../../platform/post.ts";
import type { Post, PostAnswer } from "../../platform/post.ts";
import { Refused } from "./provider.ts";

/** As `postOnce`. Rejects with a transient Refused where no answer came. */
export async function callProvider(
  post: Omit<Post, "onSending">,
  signal: AbortSignal,
): Promise<PostAnswer> {
  let isAsked = false;
  try {
    return await postOnce({ ...post, onSending: () => (isAsked = true) }, signal);
  } catch (error) {
    const { code = "no answer" } = error as NodeJS.ErrnoException;
    const why = signal.aborted ? "it did not answer in time" : `it cannot be reached (${code})`;
    throw new Refused("transient", why, { isAsked });
  }
}

/** How long the provider wants to be left alone: seconds or a date. */
export function retryAfterOf({ headers }: Pick<PostAnswer, "headers">): number | undefined {
  const text = headers["retry-after"];
  if (text === undefined) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}
