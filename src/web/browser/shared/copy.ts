import { button, el } from "./dom.ts";
import { tell } from "./frame.ts";
import type { CommonWord } from "./frame.ts";
import type { Say } from "./texts.ts";

/** A text of ours with a button that copies it; where the browser does not let us, the text is selected. */
export function copyable({ say }: { readonly say: Say<CommonWord> }, text: string): HTMLElement {
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
