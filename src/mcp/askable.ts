/** What a client declares in `initialize` that lets a server ask it back. */
export type Askable = "sampling" | "elicitation" | "roots";

const ASKABLE = ["sampling", "elicitation", "roots"] as const;

/** Of a client that is not asked what it declares. */
export const NOT_ASKABLE: ReadonlySet<Askable> = new Set();

/** Which of them these capabilities (JSON text of an object) declare. */
export function askableIn(capabilities: string): ReadonlySet<Askable> {
  const declared = JSON.parse(capabilities) as Partial<Record<string, unknown>>;
  return new Set(ASKABLE.filter((name) => typeof (declared[name] ?? undefined) === "object"));
}
