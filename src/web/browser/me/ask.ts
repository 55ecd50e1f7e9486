import { button, el, newId } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import type { Context } from "./context.ts";

/** Asks before something is done; resolves with whether it is to be. Whoever just presses Enter has said no. */
export function sure({ say, signal }: Context, question: Child, yes: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const text = el("p", { id: newId("question") }, question);
  const dialog = el("dialog", { "aria-labelledby": text.id });
  const no = button(say("cancel"), () => dialog.close(), { id: "ask-no" });
  const go = button(yes, () => dialog.close("yes"), { class: "main", id: "ask-yes" });
  dialog.append(text, el("div", { class: "row" }, no, go));
  dialog.addEventListener("close", () => {
    resolve(dialog.returnValue === "yes");
    dialog.remove();
  });
  signal.addEventListener("abort", () => dialog.close(), { once: true });
  document.body.append(dialog);
  dialog.showModal();
  no.focus();
  return promise;
}
