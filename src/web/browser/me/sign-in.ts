import { Refusal } from "../shared/api.ts";
import { el, labelled } from "../shared/dom.ts";
import { failureLine, sentenceFor } from "../shared/frame.ts";
import type { Context } from "./context.ts";

/**
 * The form for the access key. Its fields have no names, so that a browser without our script sends
 * nothing of them; a password manager knows them by what they are for.
 */
export function signInForm(
  { api, say, language }: Context,
  isOver: boolean,
  done: () => void,
): HTMLElement {
  const failure = failureLine();
  if (isOver) failure.textContent = say("signedOut");
  const key = el("input", {
    id: "key",
    type: "password",
    autocomplete: "current-password",
    spellcheck: "false",
    placeholder: "mcps_…",
    required: true,
  });
  const go = el("button", { type: "submit", class: "main" }, say("signIn"));
  const submit = async (): Promise<void> => {
    go.disabled = true;
    failure.textContent = "";
    try {
      await api.send("POST", "session", { key: key.value.trim() });
      key.value = "";
      done();
    } catch (error) {
      const isWrong = error instanceof Refusal && error.type === "KEY_INVALID";
      failure.textContent = isWrong ? say("keyInvalid") : sentenceFor(error, language);
      key.focus();
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
  form.append(labelled(say("accessKey"), key), go);
  return el(
    "section",
    {},
    el("h2", {}, say("signIn")),
    el("p", {}, say("signInWhy")),
    form,
    failure,
  );
}
