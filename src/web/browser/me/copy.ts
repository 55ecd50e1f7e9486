import { button, el } from "../shared/dom.ts";
import { tell } from "../shared/frame.ts";
import type { Context } from "./context.ts";

/** A text of ours with a button that copies it; where the browser does not let us, the text is selected. */
export function copyable({ say }: Context, text: string): HTMLElement {
  const block = el("pre", { tabindex: "0" }, text);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      tell(say("copied"));
    } catch {
      getSelection()?.selectAllChildren(block);
    }
  };
  return el(
    "div",
    { class: "copyable" },
    block,
    button(say("copy"), () => void copy()),
  );
}
