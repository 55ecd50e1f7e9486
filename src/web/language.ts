export const LANGUAGES = ["en", "zh"] as const;
export type Language = (typeof LANGUAGES)[number];

/** Of the languages that there are, the one that a browser likes best; English where it names none of them. */
export function languageIn(acceptLanguage: string | undefined): Language {
  const wishes = (acceptLanguage ?? "")
    .toLowerCase()
    .split(",")
    .map((text) => /^\s*([a-z]+)(?:-[\w-]*)?\s*(?:;\s*q=([\d.]+)\s*)?$/.exec(text))
    .map((match) => ({ tag: match?.[1], q: Number(match?.[2] ?? 1) }));
  const wish = (language: Language): number =>
    Math.max(0, ...wishes.filter(({ tag }) => tag === language).map(({ q }) => q));
  return wish("zh") > wish("en") ? "zh" : "en";
}
