import type { Api } from "../shared/api.ts";
import { common } from "../shared/frame.ts";
import type { CommonWord } from "../shared/frame.ts";
import { speaker } from "../shared/texts.ts";
import type { Language, Say } from "../shared/texts.ts";
import { en } from "./en.ts";
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

/** The sentences of this page and of all pages. */
export function wordsIn(language: Language): Say<Word> {
  const [own, shared] = [speaker({ en, zh }, language), common(language)];
  return (key, values) =>
    key in en ? own(key as keyof typeof en, values) : shared(key as CommonWord, values);
}
