import assert from "node:assert/strict";
import { ask } from "./raw-http.ts";
import type { Answer } from "./raw-http.ts";

const PAGES = "x-mcp-supervisor: 1, content-type: application/json, sec-fetch-site: same-origin";
/** What a page of ours sends with every write. */
export const asOwnPage = (origin: string): string[] => ["origin", origin, ...PAGES.split(/: |, /)];

/** Somebody who has signed in to `/me`. */
export class SignedIn {
  readonly cookie: string;
  readonly #daemon: { port: number; origin: string };

  private constructor(daemon: { port: number; origin: string }, cookie: string) {
    this.#daemon = daemon;
    this.cookie = cookie;
  }

  static async with(daemon: { port: number; origin: string }, key: string): Promise<SignedIn> {
    const answer = await ask(daemon.port, {
      method: "POST",
      path: "/me/api/session",
      headers: asOwnPage(daemon.origin),
      body: JSON.stringify({ key }),
    });
    assert.equal(answer.status, 201, answer.body);
    return new SignedIn(daemon, cookieIn(answer));
  }

  async ask(method: string, path: string, body?: object): Promise<Answer> {
    return await ask(this.#daemon.port, {
      method,
      path: `/me/api/${path}`,
      headers: [...asOwnPage(this.#daemon.origin), "cookie", this.cookie],
      ...(method === "GET" ? {} : { body: JSON.stringify(body ?? {}) }),
    });
  }

  /** What it says, where it says it with that status. */
  async json<T>(method: string, path: string, body?: object, status = 200): Promise<T> {
    const answer = await this.ask(method, path, body);
    assert.equal(answer.status, status, `${method} ${path}: ${answer.body}`);
    return JSON.parse(answer.body) as T;
  }
}

/** The cookie that an answer sets, as a browser sends it. */
export function cookieIn({ headers }: Pick<Answer, "headers">): string {
  const [set = "", ...others] = headers["set-cookie"] ?? [];
  assert.equal(others.length, 0);
  return set.split(";")[0]!;
}
