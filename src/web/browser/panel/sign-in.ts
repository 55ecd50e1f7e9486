import { Refusal } from "../shared/api.ts";
import type { Api } from "../shared/api.ts";
import { el, labelled } from "../shared/dom.ts";
import { failureLine, sentenceFor } from "../shared/frame.ts";
import type { Context, Word } from "./context.ts";

/** The token of a new session, for the code of a link or the admin token. */
export async function trade(
  api: Api,
  secret: { code: string } | { token: string },
): Promise<string> {
  const { session } = await api.send<{ session: string }>("POST", "panel/sessions", secret);
  return session;
}

/** The form for the admin token. Its field has no name, so that a browser without our script sends nothing of it. */
export function signInForm(
  { api, say, language }: Context,
  why: Word | undefined,
  done: (token: string) => void,
): HTMLElement {
  const failure = failureLine();
  if (why !== undefined) failure.textContent = say(why);
  const token = el("input", {
    id: "token",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
  });
  const go = el("button", { type: "submit", class: "main" }, say("signIn"));
  const submit = async (): Promise<void> => {
    go.disabled = true;
    failure.textContent = "";
    try {
      done(await trade(api, { token: token.value.trim() }));
    } catch (error) {
      const isWrong = error instanceof Refusal && error.type === "KEY_INVALID";
      failure.textContent = isWrong ? say("tokenInvalid") : sentenceFor(error, language);
      token.focus();
    } finally {
      token.value = "";
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
  form.append(labelled(say("adminToken"), token, say("adminTokenWhere")), go);
  return el(
    "section",
    {},
    el("h2", {}, say("signIn")),
    el("p", {}, say("signInHow"), " ", el("code", {}, "mcp-supervisor panel")),
    form,
    failure,
  );
}
