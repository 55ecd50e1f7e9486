import type { Api } from "../shared/api.ts";
import { withCommon } from "../shared/frame.ts";
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
