const OWN = "session ";
const MODERN = "modern";

/** What a child is for beside the user's common one, in words; null for that one. */
export function variantText(variant: string): string | null {
  if (variant === "") return null;
  if (variant === MODERN) return "2026-07-28";
  if (variant.startsWith(OWN)) return "own child of a client that can be asked";
  const names = capabilitiesOf(variant);
  return names.length === 0 ? variant : `child of clients with ${names.join(", ")}`;
}

function capabilitiesOf(variant: string): string[] {
  try {
    return Object.keys(JSON.parse(variant) as object);
  } catch {
    return [];
  }
}
