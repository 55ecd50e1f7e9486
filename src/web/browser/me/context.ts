import type { Api } from "../shared/api.ts";
import { sentenceFor, withCommon } from "../shared/frame.ts";
import type { CommonWord } from "../shared/frame.ts";
import type { Language, Say } from "../shared/texts.ts";
import { en } from "./en.ts";
import type { Session } from "./types.ts";
import { zh } from "./zh.ts";

export type Word = keyof typeof en | CommonWord;

/** All that a place of the page works with. */
export interface Context {
  readonly api: Api;
  readonly say: Say<Word>;
  readonly language: Language;
  /** Aborted once another place, or nothing, is shown. */
  readonly signal: AbortSignal;
}

/** A context of somebody who is signed in. */
export interface UserContext extends Context {
  readonly session: Session;
  /** What the address says to the place. */
  readonly query: URLSearchParams;
}

/** The sentences of this page and of all pages. */
export const wordsIn = (language: Language): Say<Word> => withCommon({ en, zh }, language);

/** Does what a press asks for, once at a time, and says in the line why it did not work. */
export async function press(
  { language }: Pick<Context, "language">,
  { button, failure }: { button: HTMLButtonElement; failure: HTMLElement },
  work: () => Promise<void>,
): Promise<void> {
  button.disabled = true;
  failure.textContent = "";
  try {
    await work();
  } catch (error) {
    failure.textContent = sentenceFor(error, language);
  } finally {
    button.disabled = false;
  }
}
