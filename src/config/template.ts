import { SupervisorError } from "../errors.ts";

export type Placeholder = "port" | "user" | "token";

const PLACEHOLDER = /\$\{([^}]*)\}/g;

/** Whether the text holds this placeholder. */
export function hasPlaceholder(text: string, name: Placeholder): boolean {
  return text.includes(`\${${name}}`);
}

/**
 * The text with its placeholders filled in, in one pass: a value that looks like a placeholder stays
 * as it is. INTERNAL where a value is missing, because the config was checked for that at load.
 */
export function fillTemplate(
  text: string,
  values: Partial<Record<Placeholder, string | number | undefined>>,
): string {
  return text.replace(PLACEHOLDER, (_, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name as Placeholder] : undefined;
    if (value === undefined)
      throw new SupervisorError("INTERNAL", "a placeholder of the config has no value here");
    return String(value);
  });
}

/** Why the text cannot be used where only the placeholders in `allowed` are filled, if so. Never repeats the text. */
export function templateProblem(text: string, allowed: readonly Placeholder[]): string | undefined {
  const known = allowed.map((name) => `\${${name}}`);
  if (Array.from(text.matchAll(PLACEHOLDER)).every(([found]) => known.includes(found)))
    return undefined;
  return known.length === 0
    ? "holds a ${…}, and none is filled in here"
    : `holds a \${…} other than ${known.join(" and ")}, which are the ones filled in here`;
}
