import { ask } from "./raw-http.ts";
import type { Answer } from "./raw-http.ts";

/** What a page of ours sends for its user: a POST of JSON from its own origin. */
export async function postFrom(
  origin: string,
  port: number,
  path: string,
  {
    key,
    body = "{}",
    type = "application/json",
  }: { key?: string; body?: string; type?: string } = {},
): Promise<Answer> {
  const auth = key === undefined ? [] : ["authorization", `Bearer ${key}`];
  const headers = ["origin", origin, "content-type", type, ...auth];
  return await ask(port, { method: "POST", path, headers, body });
}

/** What of an answer a browser keeps for the callback. */
export const cookieOf = ({ headers }: Answer): string =>
  headers["set-cookie"]?.[0]?.split(";")[0] ?? "";

/** Goes to the provider, as the browser does when the page tells it where; where it is sent back to. */
export async function consent({ body }: Answer): Promise<URL> {
  const { location } = JSON.parse(body) as { location: string };
  const answer = await fetch(location, { redirect: "manual" });
  return new URL(answer.headers.get("location") ?? `error:${await answer.text()}`);
}
