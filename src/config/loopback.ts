import type { Problem } from "./problems.ts";
import type { ChildServer } from "./types.ts";

// In a sandbox a server has a loopback of its own, into which `reach` carries single ports of the
// machine's; in a pod it has one as well, and nothing leads out of that. What a recipe says of localhost
// is judged by that.

/** localhost, 127.0.0.1 or ::1 where it is a whole host, and the port behind it. */
const LOOPBACK =
  /(?<![\w.-])(localhost|127\.0\.0\.1|\[::1\]|(?<!:)::1(?![\w:]))(?![\w-]|\.\w)(?::(\d{1,5}\b|\$\{port\}))?/gi;

/** What `localhost` alone means behind these. */
const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, ws: 80, https: 443, wss: 443 };

/** Where not to use a proxy: nothing is called there. */
const NO_PROXY = /^no_?proxy$/i;

const LOWEST = 1024;

/** A value of `env` or `args`, and what it is called: the variable, or the option before it. */
interface Setting {
  path: readonly PropertyKey[];
  name: string;
  text: string;
}

/** `name` without what differs between a variable and an option. */
const plain = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");

function settingsOf({ env, args }: ChildServer): Setting[] {
  return [
    ...Object.entries(env).map(([name, text]) => ({ path: ["env", name], name, text })),
    ...args.map((arg, index): Setting => {
      const path = ["args", index];
      const [, own, value] = /^(--?[\w-]+)=(.*)$/s.exec(arg) ?? [];
      if (own !== undefined) return { path, name: own, text: value! };
      const before = args[index - 1] ?? "";
      return { path, name: /^--?[\w-]+$/.test(before) ? before : "", text: arg };
    }),
  ];
}

/** One of the loopback's names in a setting; `port` is undefined where none can be told. */
interface Mention {
  path: readonly PropertyKey[];
  host: string;
  port: number | "own" | undefined;
}

const portIn = (text: string | undefined): Mention["port"] =>
  text === "${port}"
    ? "own"
    : text !== undefined && /^\d{1,5}$/.test(text)
      ? Number(text)
      : undefined;

/** SMTP_PORT for SMTP_HOST, --port for --host. */
function portBeside({ name }: Setting, settings: readonly Setting[]): Mention["port"] {
  const partner = plain(name).replace(/host(?:name)?|bind|listen|addr(?:ess)?|server/, "port");
  if (partner === plain(name)) return undefined;
  return portIn(settings.find((other) => plain(other.name) === partner)?.text);
}

function mentionsIn(setting: Setting, settings: readonly Setting[]): Mention[] {
  const { path, name, text } = setting;
  if (NO_PROXY.test(name)) return [];
  return [...text.matchAll(LOOPBACK)].map(({ 1: host = "", 2: written, index }) => {
    const [, scheme = ""] = /(\w+):\/\/(?:[^\s/@]*@)?$/.exec(text.slice(0, index)) ?? [];
    const port =
      portIn(written) ?? DEFAULT_PORTS[scheme.toLowerCase()] ?? portBeside(setting, settings);
    return { path, host, port };
  });
}

/**
 * What the recipe calls on localhost that a sandbox or a pod would not let it reach, a problem for each. A name
 * without a port passes where `reach` opens one that nothing else names: that will be the one.
 */
export function unreachable(def: ChildServer): Problem[] {
  const settings = settingsOf(def);
  const mentions = settings.flatMap((setting) => mentionsIn(setting, settings));
  const named = new Set(mentions.map(({ port }) => port));
  const hasSpare = def.reach.some((port) => !named.has(port));
  return mentions.flatMap(({ path, host, port }) => {
    const isOpen = port === undefined ? hasSpare : port === "own" || def.reach.includes(port);
    const advice = def.pod === undefined ? adviceFor : adviceInPod;
    return isOpen ? [] : [{ path: ["servers", def.name, ...path], message: advice(host, port) }];
  });
}

const adviceInPod = (host: string, port: number | "own" | undefined): string =>
  `names ${typeof port === "number" ? `port ${port} of ${host}` : host}: in a pod that is the pod itself; name the service by an address that pods reach`;

function adviceFor(host: string, port: number | "own" | undefined): string {
  const what = `in a sandbox ${host} is the server's own`;
  if (typeof port !== "number")
    return `names ${host} without a port: ${what}, and what it is to call there has to stand in "reach"`;
  return port < LOWEST
    ? `names port ${port} of ${host}: ${what}, and "reach" carries in no port below ${LOWEST}; let that service have a higher one`
    : `names port ${port} of ${host}, which "reach" does not carry in: ${what}; add ${port} to "reach"`;
}
