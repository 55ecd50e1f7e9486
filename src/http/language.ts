/** The languages that people are spoken to in. */
export type Language = "en" | "zh";

const weightOf = (parameters: readonly string[]): number => {
  const weight = parameters.map((text) => /^\s*q=([\d.]+)\s*$/i.exec(text)?.[1]).find(Boolean);
  return weight === undefined ? 1 : Number(weight);
};

/** The one of ours that an Accept-Language header likes best (RFC 9110, 12.5.4); English where it likes none. */
export function languageOf(header: string | undefined): Language {
  let best: { language: Language; weight: number } = { language: "en", weight: 0 };
  for (const range of (header ?? "").split(",")) {
    const [tag = "", ...parameters] = range.split(";");
    const primary = tag.trim().toLowerCase().split("-", 1)[0];
    if (primary !== "en" && primary !== "zh") continue;
    const weight = weightOf(parameters);
    if (weight > best.weight) best = { language: primary, weight };
  }
  return best.language;
}
