import { hash } from "node:crypto";
import { existsSync, globSync, readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { fileURLToPath } from "node:url";
import { languageOf } from "../http/language.ts";
import type { Language } from "../http/language.ts";
import { NOSNIFF } from "../http/safe-response.ts";

/** The pages that are programs, by the folder of their first module, and what stands above them in the browser. */
const TITLES = {
  me: { en: "My servers", zh: "我的服务器" },
  panel: { en: "Admin panel", zh: "管理面板" },
} as const satisfies Record<string, Readonly<Record<Language, string>>>;

export type AppName = keyof typeof TITLES;

/** For the answers with pages alone; all others are no pages. */
const HEADERS = {
  ...NOSNIFF,
  // With no-referrer a browser would post `Origin: null`, which nobody can tell from a stranger's.
  "referrer-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
  ].join("; "),
} as const;

const TYPES: Readonly<Record<string, string>> = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
};

interface File {
  readonly type: string;
  readonly bytes: Buffer;
  readonly etag: string;
}

/** Beside the program that was built, or below the sources that run as they are. */
const folderOf = (): URL => {
  const beside = new URL("web/", import.meta.url);
  return existsSync(beside) ? beside : new URL("../../dist/web/", import.meta.url);
};

let read: ReadonlyMap<string, File> | undefined;

/** The files of all pages, read once however many listeners serve them. */
const files = (): ReadonlyMap<string, File> => (read ??= readFiles());

function readFiles(): ReadonlyMap<string, File> {
  const folder = folderOf();
  const names = globSync("**/*.{js,css}", { cwd: fileURLToPath(folder) }).toSorted();
  return new Map(
    names.map((name) => {
      const bytes = readFileSync(new URL(name, folder));
      const type = TYPES[name.slice(name.lastIndexOf(".") + 1)]!;
      return [name, { type, bytes, etag: `"${hash("sha256", bytes, "base64url")}"` }] as const;
    }),
  );
}

/** Pages that are programs, and what they are made of. What stands in them is the same for everybody. */
export class AppPages {
  readonly #files = files();
  readonly #pages: ReadonlyMap<string, Buffer>;

  /** `base` is what a browser sees before our paths. */
  constructor(base: string) {
    const layout = readFileSync(new URL("assets/app.html", import.meta.url), "utf8");
    const page = (name: AppName, language: Language): Buffer => {
      const title = TITLES[name][language];
      const values: Record<string, string> = { base, language, title, name };
      values["modules"] = this.#modulesOf(name)
        .map((file) => `<link rel="modulepreload" href="${base}/web/${file}" />`)
        .join("\n    ");
      return Buffer.from(layout.replace(/\{\{(\w+)\}\}/g, (_, key: string) => values[key]!));
    };
    this.#pages = new Map(
      (Object.keys(TITLES) as AppName[]).flatMap((name) =>
        (["en", "zh"] as const).map((language) => [`${name} ${language}`, page(name, language)]),
      ),
    );
  }

  /** Answers with the page, in the language that the browser likes best. */
  send(req: IncomingMessage, res: ServerResponse, name: AppName): void {
    const bytes = this.#pages.get(`${name} ${languageOf(req.headers["accept-language"])}`)!;
    res.writeHead(200, {
      ...HEADERS,
      "cache-control": "no-store",
      "content-type": "text/html; charset=utf-8",
      "content-length": bytes.length,
      vary: "Accept-Language",
    });
    res.end(req.method === "HEAD" ? undefined : bytes);
  }

  /** Answers with a module or the style, where the browser has another one; false where there is none of that name. */
  sendFile(req: IncomingMessage, res: ServerResponse, name: string): boolean {
    const file = this.#files.get(name);
    if (file === undefined) return false;
    const headers = { ...HEADERS, "cache-control": "no-cache", etag: file.etag };
    if (req.headers["if-none-match"] === file.etag) {
      res.writeHead(304, headers);
      res.end();
      return true;
    }
    const length = file.bytes.length;
    res.writeHead(200, { ...headers, "content-type": file.type, "content-length": length });
    res.end(req.method === "HEAD" ? undefined : file.bytes);
    return true;
  }

  /** All that the page will ask for, so that it can ask at once. */
  #modulesOf(name: AppName): string[] {
    return [...this.#files.keys()].filter((file) =>
      new RegExp(`^(?:${name}|shared)/.*\\.js$`).test(file),
    );
  }
}
