import { add, button, el, redraw } from "./dom.ts";
import type { Child } from "./dom.ts";
import { Refusal } from "./api.ts";
import { en } from "./en.ts";
import { chooseLanguage, currentLanguage, speaker } from "./texts.ts";
import type { Language, Say } from "./texts.ts";
import { zh } from "./zh.ts";

export type CommonWord = keyof typeof en;

/** A part of a page with an address of its own behind `#`. */
export interface Place {
  readonly name: string;
  readonly title: string;
}

export interface Framed {
  readonly title: string;
  /** Whose page it is, with the button that ends it; undefined before anybody has signed in. */
  readonly who?: { readonly name: Child; readonly onSignOut: () => void } | undefined;
  readonly places: readonly Place[];
  /** The page is drawn anew in the language that is chosen by then. */
  readonly onLanguage: () => void;
}

/** The sentences that all pages have, in the reader's language. */
const common = (language: Language): Say<CommonWord> => speaker({ en, zh }, language);

/** The sentences of a page and those that all pages have. */
export function withCommon<Own extends string>(
  own: Readonly<Record<Language, Readonly<Record<Own, string>>>>,
  language: Language,
): Say<Own | CommonWord> {
  const [say, sayCommon] = [speaker(own, language), common(language)];
  const isCommon = (key: Own | CommonWord): key is CommonWord => Object.hasOwn(en, key);
  return (key, values) => (isCommon(key) ? sayCommon(key, values) : say(key, values));
}

/** Which place the address names, and what it says to it behind `?`: as `#calls?server=x`. */
export function placeIn(places: readonly Place[]): {
  place: Place | undefined;
  query: URLSearchParams;
} {
  const [name, query = ""] = location.hash.slice(1).split("?", 2);
  const place = places.find((one) => one.name === name) ?? places[0];
  return { place, query: new URLSearchParams(query) };
}

/** Draws what stands around every page, and returns the place for what stands in it. */
export function frame({ title, who, places, onLanguage }: Framed): HTMLElement {
  const language = currentLanguage();
  const say = common(language);
  document.documentElement.lang = language;
  document.title = title;
  const main = el("main", { id: "main", tabindex: "-1" });
  const top = el(
    "header",
    { class: "top" },
    el("h1", {}, title),
    el(
      "div",
      { class: "row" },
      languageSwitch(language, onLanguage),
      who && el("span", { class: "quiet" }, who.name),
      who && button(say("signOut"), who.onSignOut, { id: "sign-out" }),
    ),
  );
  redraw(document.body, top, places.length > 0 && navigation(places), main, news);
  return main;
}

function languageSwitch(current: Language, onLanguage: () => void): HTMLElement {
  const one = (language: Language, name: string): HTMLElement => {
    const choose = (): void => {
      chooseLanguage(language);
      onLanguage();
    };
    const pressed = current === language ? "true" : "false";
    return button(name, choose, { lang: language, "aria-pressed": pressed, id: `in-${language}` });
  };
  const group = el("div", { class: "row", role: "group", "aria-label": "Language / 语言" });
  add(group, one("en", "English"), one("zh", "中文"));
  return group;
}

function navigation(places: readonly Place[]): HTMLElement {
  const current = placeIn(places).place?.name;
  const links = places.map(({ name, title }) => {
    const link = el("a", {
      "aria-current": name === current ? "page" : undefined,
      id: `to-${name}`,
    });
    link.href = `#${name}`;
    add(link, title);
    return el("li", {}, link);
  });
  return el("nav", {}, el("ul", {}, ...links));
}

/** What has happened, for those who cannot see the page too. */
const news = el("p", { role: "status", "aria-live": "polite", class: "news" });

export function tell(text: string): void {
  news.textContent = text;
}

const SENTENCES: Readonly<Record<string, CommonWord>> = {
  OFFLINE: "offline",
  TOO_MANY_FAILURES: "tooMany",
  ORIGIN_REFUSED: "outOfOrigin",
};

/** Why something did not work, in a sentence for the reader. */
export function sentenceFor(error: unknown, language: Language): string {
  const say = common(language);
  if (!(error instanceof Refusal)) return say("refused", { message: String(error) });
  const known = SENTENCES[error.type];
  const sentence = known === undefined ? say("refused", { message: error.message }) : say(known);
  return error.requestId === ""
    ? sentence
    : `${sentence} ${say("request", { id: error.requestId })}`;
}

/** A paragraph for what did not work: read out at once, empty until then. */
export const failureLine = (): HTMLParagraphElement => el("p", { class: "error", role: "alert" });
