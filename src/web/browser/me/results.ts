import { add, el, redraw } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import { foreign, foreignBlock, foreignLink } from "../shared/foreign.ts";
import { took } from "../shared/times.ts";
import type { UserContext } from "./context.ts";
import type { CallResult } from "./types.ts";

/** What a browser draws and does not run. */
const IMAGES: ReadonlySet<string> = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
/** More parts than anybody reads. */
const MAX_PARTS = 200;

type Part = Readonly<Record<string, unknown>>;

const isPart = (value: unknown): value is Part =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const textIn = (value: unknown): string => (typeof value === "string" ? value : "");

/** Shows what a tool answered: all of it text, but for images of four kinds. */
export function showResult(
  context: UserContext,
  place: HTMLElement,
  { server, result }: CallResult,
  tookMs: number,
): void {
  const { say } = context;
  const { content, structuredContent, isError } = result;
  const parts = Array.isArray(content) ? content.slice(0, MAX_PARTS) : [];
  redraw(
    place,
    el("h3", { id: "result", tabindex: "-1" }, say("playResult")),
    el("p", { class: "quiet" }, say("playTook", { server, time: took(tookMs) })),
    isError === true && el("p", { class: "error" }, say("playFailed")),
    ...parts.map((part) => shownPart(context, part)),
  );
  if (structuredContent !== undefined)
    add(place, el("h3", {}, say("playStructured")), json(context, structuredContent));
  const known = new Set(["content", "structuredContent", "isError"]);
  const rest = Object.entries(result).filter(([key]) => !known.has(key));
  if (rest.length > 0)
    add(place, el("h3", {}, say("playRest")), json(context, Object.fromEntries(rest)));
}

const json = ({ say }: UserContext, value: unknown): HTMLElement =>
  foreignBlock(JSON.stringify(value, null, 2), say("showAll"));

function shownPart(context: UserContext, part: unknown): Child {
  const { say } = context;
  if (!isPart(part)) return json(context, part);
  const { type, text, data, mimeType, uri, name, resource } = part;
  if (type === "text") return foreignBlock(textIn(text), say("showAll"));
  if (type === "image" || type === "audio")
    return shownBytes(context, textIn(mimeType), textIn(data));
  if (type === "resource_link")
    return el("p", {}, foreignLink(textIn(name) || textIn(uri), textIn(uri)));
  if (type === "resource" && isPart(resource)) {
    const address = el("p", {}, foreignLink(textIn(resource["uri"]), textIn(resource["uri"])));
    const inside =
      typeof resource["text"] === "string"
        ? foreignBlock(resource["text"], say("showAll"))
        : shownBytes(context, textIn(resource["mimeType"]), textIn(resource["blob"]));
    return el("div", {}, address, inside);
  }
  return json(context, part);
}

function shownBytes({ say }: UserContext, type: string, base64: string): HTMLElement {
  const data = base64.replace(/\s+/g, "");
  if (!IMAGES.has(type) || !/^[A-Za-z0-9+/]+={0,2}$/.test(data)) {
    const bytes = Math.floor((data.length * 3) / 4);
    return el("p", {}, foreign(type), ": ", say("playUnshown", { bytes }));
  }
  const image = el("img");
  image.alt = say("playImage", { type });
  image.src = `data:${type};base64,${data}`;
  return el("p", {}, image);
}
