import { el } from "./dom.ts";
import type { Child } from "./dom.ts";
import { inert } from "./inert.ts";

const MAX_NAME = 200;
/** More of a text is shown when it is asked for. */
const MAX_SHOWN = 20_000;

/** A word of somebody else's within a sentence of ours: it turns nothing round that stands beside it. */
export function foreign(text: string): HTMLElement {
  const cut = text.length > MAX_NAME ? `${text.slice(0, MAX_NAME)}…` : text;
  return el("bdi", { class: "foreign" }, inert(cut));
}
/** A text of somebody else's, as long as it is: what is over the bound comes when it is asked for. */
export function foreignBlock(text: string, more: string): HTMLElement {
  const block = el(
    "pre",
    { class: "foreign", tabindex: "0", dir: "auto" },
    inert(text.slice(0, MAX_SHOWN)),
  );
  if (text.length <= MAX_SHOWN) return block;
  const button = el("button", { type: "button" }, more);
  button.addEventListener("click", () => {
    block.textContent = inert(text);
    button.remove();
  });
  return el("div", {}, block, button);
}

/** The address, if it is one that may be followed: of the web, and nothing that runs. */
export function webAddress(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  return url.protocol === "https:" || url.protocol === "http:" ? url : undefined;
}

/** A link to what somebody else names, with the host that it leads to; plain text where it is none. */
export function foreignLink(text: string, address: string): Child {
  const url = webAddress(address);
  if (url === undefined) return el("span", {}, foreign(text), " (", foreign(address), ")");
  const anchor = el("a", {}, foreign(text));
  anchor.href = url.href;
  anchor.rel = "noopener noreferrer nofollow";
  anchor.target = "_blank";
  return el("span", {}, anchor, " (", foreign(url.host), ")");
}
