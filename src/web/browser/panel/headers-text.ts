type HeadersProblem = "headersNotJson" | "headersNoObject";

/** What is wrong with a text that is to be headers; undefined where nothing is. Nothing at all is no headers. */
export function headersProblem(text: string): HeadersProblem | undefined {
  if (text.trim() === "") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "headersNotJson";
  }
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? undefined : "headersNoObject";
}
