import { Refusal } from "./api.ts";
import { el, labelled } from "./dom.ts";
import type { Child, Props } from "./dom.ts";
import { failureLine, sentenceFor } from "./frame.ts";
import type { CommonWord } from "./frame.ts";
import type { Language, Say } from "./texts.ts";

interface SecretForm {
  readonly about: readonly Child[];
  readonly label: string;
  readonly hint?: string;
  /** Of the field. A password manager knows it by what it is for. */
  readonly field: Props;
  /** Why one has to sign in again; undefined at the first time. */
  readonly why: string | undefined;
  /** What is said of a secret that is not valid. */
  readonly invalid: string;
  /** Signs in with what stands in the field; whether that stays there is for it to say. */
  readonly send: (field: HTMLInputElement) => Promise<void>;
}

/** The form that signs in with a secret. Its field has no name, so that a browser without our script sends nothing of it. */
export function secretForm(
  { say, language }: { readonly say: Say<CommonWord>; readonly language: Language },
  { about, label, hint, field: props, why = "", invalid, send }: SecretForm,
): HTMLElement {
  const failure = failureLine();
  failure.textContent = why;
  const field = el("input", { type: "password", spellcheck: "false", required: true, ...props });
  const go = el("button", { type: "submit", class: "main" }, say("signIn"));
  const submit = async (): Promise<void> => {
    go.disabled = true;
    failure.textContent = "";
    try {
      await send(field);
    } catch (error) {
      const isWrong = error instanceof Refusal && error.type === "KEY_INVALID";
      failure.textContent = isWrong ? invalid : sentenceFor(error, language);
      field.focus();
    } finally {
      go.disabled = false;
    }
  };
  const form = el("form", {
    id: "sign-in",
    onsubmit: (event) => {
      event.preventDefault();
      void submit();
    },
  });
  form.method = "post";
  form.append(labelled(label, field, hint), go);
  return el("section", {}, el("h2", {}, say("signIn")), el("p", {}, ...about), form, failure);
}
