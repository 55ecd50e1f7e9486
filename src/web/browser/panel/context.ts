import type { Api } from "../shared/api.ts";
import { withCommon } from "../shared/frame.ts";
import type { CommonWord } from "../shared/frame.ts";
import type { Language, Say } from "../shared/texts.ts";
import { en } from "./en.ts";
import { zh } from "./zh.ts";

export type Word = keyof typeof en | CommonWord;

/** All that a place of the panel works with. */
export interface Context {
  readonly api: Api;
  /** What a request of this session carries, for what is read as it comes. */
  readonly headers: () => Readonly<Record<string, string>>;
  readonly say: Say<Word>;
  readonly language: Language;
  /** Aborted once another place, or nothing, is shown. */
  readonly signal: AbortSignal;
}

/** The sentences of the panel and of all pages. */
export const wordsIn = (language: Language): Say<Word> => withCommon({ en, zh }, language);

/** A user who is looked at. */
export interface Looked {
  readonly user: string;
  /** Where the path of the user begins, for the API. */
  readonly path: string;
  /** Loads and draws the user anew. */
  readonly again: () => void;
}

/** The address of a place: what stands in it is the panel's own, and names are escaped. */
export const addressOf = (place: string, query: Readonly<Record<string, string>> = {}): string => {
  const text = new URLSearchParams(query).toString();
  return text === "" ? `#${place}` : `#${place}?${text}`;
};
