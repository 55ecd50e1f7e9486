import type { Entry } from "./source.ts";

/** What an entry has of one person's: here each user has their own. */
export interface Personal {
  /** Where it stands: `env.GMAIL_TOKEN`. */
  where: string;
  /** The value in the file, to try the server with. */
  value: string;
  /** The entry with each user's own in its place. */
  entry: Entry;
}

const SECRET_NAME = /(?:^|_)(?:TOKEN|KEY|SECRET|PAT|PASSWORD|PASSWD|CREDENTIALS?)(?:_|$)/i;

const recordOf = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? { ...value } : {};

/** The secrets in an entry of somebody's own file, each as what it would be here. */
export function personalIn(entry: Entry): Personal[] {
  if ("url" in entry) {
    const headers = recordOf(entry["headers"]);
    return Object.entries(headers).flatMap(([name, value]) => {
      if (typeof value !== "string" || value.includes("${token}")) return [];
      if (!/^authorization$/i.test(name) && !SECRET_NAME.test(name.replaceAll("-", "_"))) return [];
      const [, scheme = "", secret = ""] = /^((?:Bearer|token) +)?(.*)$/i.exec(value) ?? [];
      const changed = { ...entry, headers: { ...headers, [name]: `${scheme}\${token}` } };
      return [{ where: `headers.${name}`, value: secret, entry: changed }];
    });
  }
  const env = recordOf(entry["env"]);
  return Object.entries(env).flatMap(([name, value]) => {
    if (typeof value !== "string" || !SECRET_NAME.test(name)) return [];
    const { [name]: _, ...others } = env;
    return [{ where: `env.${name}`, value, entry: { ...entry, env: others, tokenEnv: name } }];
  });
}

/** A value that was put where the real one belongs. */
export const isPlaceholder = (value: string): boolean =>
  value === "" || /^(?:<.*>|\$\{.*\}|your[-_ ].*|.*_here|x{3,}|\.{3}|…)$/i.test(value);
