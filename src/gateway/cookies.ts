/** The value of the cookie of that name; empty where it is not there, or twice. */
export function cookieIn(header: string | undefined, name: string): string {
  const found = (header ?? "")
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`));
  return found.length === 1 ? found[0]!.slice(name.length + 1) : "";
}
