/** Room: web. What people see in a browser: pages, the addresses that stand in them, and what they paste into their clients. In: what is to be shown. Out: whole answers, from memory. Asks nobody who somebody is. */
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { NOSNIFF } from "../http/safe-response.ts";
import { languageOf } from "../http/language.ts";
import type { Language } from "../http/language.ts";

type InBoth = Readonly<Record<Language, string>>;

/** The pages there are, by their files, and what stands above them in the browser. */
const TITLES = {
  connect: { en: "Connect an account", zh: "连接账号" },
  connected: { en: "Account connected", zh: "账号已连接" },
  "not-connected": { en: "Account not connected", zh: "账号未连接" },
  invite: { en: "Your invitation", zh: "您的邀请" },
} as const satisfies Record<string, InBoth>;

export type PageName = keyof typeof TITLES;

const ASSETS: Readonly<Record<string, string>> = {
  "page.css": "text/css; charset=utf-8",
  "page.js": "text/javascript; charset=utf-8",
};

/** For the answers of these routes alone; all others are no pages. */
const HEADERS = {
  ...NOSNIFF,
  "cache-control": "no-store",
  // With no-referrer a browser would post `Origin: null`, which nobody can tell from a stranger's.
  "referrer-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    // Forms are sent by the script, so that no key gets into an address without it.
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
} as const;

const read = (file: string): string =>
  readFileSync(new URL(`assets/${file}`, import.meta.url), "utf8");

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
const escaped = (text: string): string => text.replace(/[&<>"']/g, (unit) => ESCAPES[unit]!);

const filled = (template: string, values: Readonly<Record<string, string>>): string =>
  template.replace(/\{\{([\w-]+)\}\}/g, (_, name: string) => values[name] ?? "");

export interface Shown {
  status?: number;
  /** Text for the places that the page has for it. */
  values?: Readonly<Record<string, string>>;
  headers?: Readonly<Record<string, string>>;
}

/** The pages, read once. Both languages stand in each, so that the other one is a click away and nothing is asked for anew. */
export class Pages {
  readonly #base: string;
  readonly #layout = read("layout.html");
  readonly #bodies = new Map(
    Object.keys(TITLES).map((name) => [name, read(`${name}.html`)] as const),
  );
  readonly #assets = new Map(Object.keys(ASSETS).map((name) => [name, read(name)] as const));

  /** `base` is what a browser sees before our paths. */
  constructor(base: string) {
    this.#base = base;
  }

  /** Answers with a page, in the language that the browser likes best. */
  send(
    req: IncomingMessage,
    res: ServerResponse,
    name: PageName,
    { status = 200, values = {}, headers = {} }: Shown = {},
  ): void {
    const language = languageOf(req.headers["accept-language"]);
    const safe = Object.entries(values).map(([key, text]) => [key, escaped(text)] as const);
    const html = filled(this.#layout, {
      base: this.#base,
      language,
      title: TITLES[name][language],
      [language]: "checked",
      body: filled(this.#bodies.get(name)!, Object.fromEntries(safe)),
    });
    const type = { "content-type": "text/html; charset=utf-8", vary: "Accept-Language" };
    sendWhole(req, res, { status, headers: { ...type, ...headers }, text: html });
  }

  /** Answers with the script or the style; false where there is no file of that name. */
  sendAsset(req: IncomingMessage, res: ServerResponse, name: string): boolean {
    const text = this.#assets.get(name);
    if (text === undefined) return false;
    sendWhole(req, res, { status: 200, headers: { "content-type": ASSETS[name]! }, text });
    return true;
  }
}

function sendWhole(
  { method }: IncomingMessage,
  res: ServerResponse,
  {
    status,
    headers,
    text,
  }: { status: number; headers: Readonly<Record<string, string>>; text: string },
): void {
  const bytes = Buffer.from(text);
  res.writeHead(status, { ...HEADERS, ...headers, "content-length": bytes.length });
  res.end(method === "HEAD" ? undefined : bytes);
}
