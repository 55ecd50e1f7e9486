import { el } from "./dom.ts";
import type { Language } from "./texts.ts";

const LOCALES: Readonly<Record<Language, string>> = { en: "en-GB", zh: "zh-CN" };

/** An instant (epoch ms) in the reader's zone. */
export function instant(at: number, language: Language): HTMLTimeElement {
  const date = new Date(at);
  const shown = new Intl.DateTimeFormat(LOCALES[language], {
    dateStyle: "medium",
    timeStyle: "short",
  });
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return el(
    "time",
    { datetime: date.toISOString(), title: `${date.toISOString()} · ${zone}` },
    shown.format(date),
  );
}

/** How long something took, in ms below a second. */
export const took = (ms: number): string =>
  ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
