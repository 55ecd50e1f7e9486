import { el, labelled, redraw } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import { foreign } from "../shared/foreign.ts";
import { failureLine } from "../shared/frame.ts";
import { watch } from "../shared/poll.ts";
import type { Context, Looked } from "./context.ts";
import type { UserAccess } from "./types.ts";
import { act, formOf, order, table } from "./ui.ts";

const grantPath = (path: string, server: string): string =>
  `${path}/grants?server=${encodeURIComponent(server)}`;
const memberPath = (group: string, user: string): string =>
  `groups/${encodeURIComponent(group)}/members/${encodeURIComponent(user)}`;

/** A field and a button, for a name that something is done with. */
function naming(
  context: Context,
  { label, action, id }: { label: string; action: string; id: string },
  work: (name: string) => Promise<string>,
): HTMLElement {
  const failure = failureLine();
  const field = el("input", { id, autocomplete: "off", spellcheck: "false", required: true });
  const go = el("button", { type: "submit" }, action);
  const submit = async (): Promise<string> => {
    const told = await work(field.value.trim());
    field.value = "";
    return told;
  };
  const fields = [labelled(label, field), go, failure];
  return formOf(fields, () => void act(context, go, failure, submit));
}

/** What the user may use beside what is open to all, and by which group. */
export function grantsOf(context: Context, { path, user }: Looked): HTMLElement {
  const { api, say, signal } = context;
  const failure = failureLine();
  const body = el("div", {});
  const load = async (): Promise<UserAccess> => await api.get(`${path}/grants`, signal);
  const changed = async (method: "PUT" | "DELETE", at: string): Promise<string> => {
    await api.send(method, at);
    refresh();
    return say("done");
  };
  const draw = ({ groups, granted }: UserAccess): void => {
    const servers = granted.map(({ server, by }, at): Child[] => [
      foreign(server),
      foreign(by.join(", ")),
      by.includes(user) &&
        order(
          context,
          say("takeBack"),
          async () => await changed("DELETE", grantPath(path, server)),
          {
            id: `ungrant-${at}`,
          },
        ),
    ]);
    const members = groups.map((group, at): Child[] => [
      foreign(group),
      order(context, say("leave"), async () => await changed("DELETE", memberPath(group, user)), {
        id: `leave-${at}`,
      }),
    ]);
    redraw(
      body,
      servers.length > 0 && table(say("granted"), [say("server"), say("through"), ""], servers),
      members.length > 0 && table(say("groups"), [say("group"), ""], members),
      servers.length + members.length === 0 && el("p", { class: "quiet" }, say("none")),
    );
  };
  const refresh = watch(context, failure, load, draw);
  const grant = { label: say("server"), action: say("grant"), id: "grant-server" };
  const join = { label: say("group"), action: say("join"), id: "join-group" };
  return el(
    "details",
    { id: "grants" },
    el("summary", {}, say("granted")),
    el("p", { class: "hint" }, say("grantsHint")),
    failure,
    body,
    naming(context, grant, async (name) => await changed("PUT", grantPath(path, name))),
    naming(context, join, async (name) => await changed("PUT", memberPath(name, user))),
  );
}
