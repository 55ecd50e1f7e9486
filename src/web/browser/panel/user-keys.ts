import { el, labelled, redraw } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import { foreign } from "../shared/foreign.ts";
import { failureLine } from "../shared/frame.ts";
import type { Context, Looked } from "./context.ts";
import type { ShownUser } from "./types.ts";
import { act, ask, formOf, instantIn, order, secretOnce, table, time } from "./ui.ts";

/** Access keys by how they begin. */
export function keyTable(context: Context, { again }: Looked, { keys }: ShownUser): Child[] {
  const { api, say } = context;
  const revoke = async (id: string, label: string): Promise<string> => {
    const question = {
      title: say("revokeKey", { key: label }),
      text: say("revokeWhat"),
      action: say("revoke"),
    };
    if (!(await ask(context, question))) return "";
    await api.send("DELETE", `keys/${encodeURIComponent(id)}`);
    again();
    return say("done");
  };
  const rows = keys.map(({ id, prefix, label, createdAt, expiresAt }, at): Child[] => [
    el("code", {}, `${prefix}…`),
    label === null ? "" : foreign(label),
    time(context, createdAt),
    time(context, expiresAt, say("never")),
    order(context, say("revoke"), async () => await revoke(id, label ?? prefix), {
      id: `revoke-${at}`,
    }),
  ]);
  const heads = ["accessKey", "label", "createdAt", "endsAt"] as const;
  return [
    el("h3", {}, say("keys")),
    rows.length === 0
      ? el("p", { class: "quiet" }, say("none"))
      : table(say("keys"), [...heads.map((word) => say(word)), ""], rows),
  ];
}

/** The form for a new key, which is shown once; open where the address asks for it. */
export function keyForm(
  context: Context,
  { path, user, again }: Looked,
  query: URLSearchParams,
): HTMLElement {
  const { api, say } = context;
  const failure = failureLine();
  const given = el("div", {});
  const label = el("input", { autocomplete: "off", maxlength: "100", id: "new-key-label" });
  const ends = el("input", { type: "datetime-local" });
  const go = el("button", { type: "submit", class: "main" }, say("issueKey"));
  const issue = async (): Promise<string> => {
    const about = { label: label.value === "" ? null : label.value, expiresAt: instantIn(ends) };
    const { secret } = await api.send<{ secret: string }>("POST", `${path}/keys`, about);
    redraw(given, secretOnce(context, say("keyOf", { user }), secret));
    again();
    return say("done");
  };
  const form = formOf(
    [
      labelled(say("label"), label, say("formOptional")),
      labelled(say("endsAt"), ends, say("formOptional")),
      go,
    ],
    () => void act(context, go, failure, issue),
  );
  const isOpen = query.get("form") === "key";
  return el(
    "details",
    { id: "key-form", open: isOpen },
    el("summary", {}, say("issueKey")),
    form,
    failure,
    given,
  );
}
