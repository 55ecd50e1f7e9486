import type { Api } from "../shared/api.ts";
import { el } from "../shared/dom.ts";
import { secretForm } from "../shared/secret-form.ts";
import type { Context, Word } from "./context.ts";

/** The token of a new session, for the code of a link or the admin token. */
export async function trade(
  api: Api,
  secret: { code: string } | { token: string },
): Promise<string> {
  const { session } = await api.send<{ session: string }>("POST", "panel/sessions", secret);
  return session;
}

/** The form for the admin token, of which nothing stays in the field. */
export function signInForm(
  context: Context,
  why: Word | undefined,
  done: (token: string) => void,
): HTMLElement {
  const { api, say } = context;
  return secretForm(context, {
    about: [say("signInHow"), " ", el("code", {}, "mcp-supervisor panel")],
    label: say("adminToken"),
    hint: say("adminTokenWhere"),
    field: { id: "token", autocomplete: "off" },
    why: why && say(why),
    invalid: say("tokenInvalid"),
    send: async (field) => {
      try {
        done(await trade(api, { token: field.value.trim() }));
      } finally {
        field.value = "";
      }
    },
  });
}
