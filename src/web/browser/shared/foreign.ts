import { el } from "./dom.ts";
import { inert } from "./inert.ts";

const MAX_NAME = 200;

/** A word of somebody else's within a sentence of ours: it turns nothing round that stands beside it. */
export function foreign(text: string): HTMLElement {
  const cut = text.length > MAX_NAME ? `${text.slice(0, MAX_NAME)}…` : text;
  return el("bdi", { class: "foreign" }, inert(cut));
}
