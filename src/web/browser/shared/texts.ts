/** The languages that people are spoken to in. */
export type Language = "en" | "zh";

const REMEMBERED = "mcps-language";

const isLanguage = (text: string | null): text is Language => text === "en" || text === "zh";

/** What the reader has chosen here before, else what the page came in. */
export function currentLanguage(): Language {
  const remembered = readRemembered();
  if (isLanguage(remembered)) return remembered;
  const { lang } = document.documentElement;
  return isLanguage(lang) ? lang : "en";
}

/** From now on, and in this browser from then on. */
export function chooseLanguage(language: Language): void {
  document.documentElement.lang = language;
  try {
    localStorage.setItem(REMEMBERED, language);
  } catch {
    // A browser that keeps nothing forgets it with the page.
  }
}

function readRemembered(): string | null {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null;
  }
}

export type Values = Readonly<Record<string, string | number>>;

/** Says a sentence by its key, with these values in its `{places}`. */
export type Say<Key extends string> = (key: Key, values?: Values) => string;

/** The sentences of one language; the other one has the same keys, which a test holds. */
export function speaker<Key extends string>(
  sentences: Readonly<Record<Language, Readonly<Record<Key, string>>>>,
  language: Language,
): Say<Key> {
  const spoken = sentences[language];
  return (key, values = {}) =>
    spoken[key].replace(/\{(\w+)\}/g, (_, name: string) =>
      Object.hasOwn(values, name) ? String(values[name]) : "",
    );
}
