import { secretForm } from "../shared/secret-form.ts";
import type { Context } from "./context.ts";

/** The form for the access key. */
export function signInForm(context: Context, isOver: boolean, done: () => void): HTMLElement {
  const { api, say } = context;
  return secretForm(context, {
    about: [say("signInWhy")],
    label: say("accessKey"),
    field: { id: "key", autocomplete: "current-password", placeholder: "mcps_…" },
    why: isOver ? say("signedOut") : undefined,
    invalid: say("keyInvalid"),
    send: async (field) => {
      await api.send("POST", "session", { key: field.value.trim() });
      field.value = "";
      done();
    },
  });
}
