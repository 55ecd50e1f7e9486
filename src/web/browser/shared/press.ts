import { sentenceFor } from "./frame.ts";
import type { Language } from "./texts.ts";

/** Does what a press asks for, once at a time, and says in the line why it did not work. */
export async function press(
  { language }: { readonly language: Language },
  { button, failure }: { button: HTMLButtonElement; failure: HTMLElement },
  work: () => Promise<void>,
): Promise<void> {
  button.disabled = true;
  failure.textContent = "";
  try {
    await work();
  } catch (error) {
    failure.textContent = sentenceFor(error, language);
  } finally {
    button.disabled = false;
  }
}
