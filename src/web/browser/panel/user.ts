import { el, redraw } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import { foreign } from "../shared/foreign.ts";
import { failureLine } from "../shared/frame.ts";
import { inert } from "../shared/inert.ts";
import { watch } from "../shared/poll.ts";
import type { Context, Looked } from "./context.ts";
import { remedyButtons } from "./remedy-buttons.ts";
import { keyForm, keyTable } from "./user-keys.ts";
import { tokenForm, tokenTable } from "./user-tokens.ts";
import { sessionsOf } from "./user-sessions.ts";
import { grantsOf } from "./user-grants.ts";
import type { Diagnosis, ShownUser } from "./types.ts";
import { ask, facts, link, order, secretOnce, size, stateName, table, time } from "./ui.ts";

function states(context: Context, { path, again, user }: Looked, shown: ShownUser): Child {
  const { api, say } = context;
  const set = async (verb: "enable" | "disable"): Promise<string> => {
    const question = {
      title: say("disableUser", { name: user }),
      text: say("disableWhat"),
      action: say("disable"),
    };
    if (verb === "disable" && !(await ask(context, question))) return "";
    await api.send("POST", `${path}/${verb}`);
    again();
    return say("done");
  };
  const remove = async (): Promise<string> => {
    const question = {
      title: say("removeUser", { name: user }),
      text: say("removeWhat", { count: shown.instances.length, keys: shown.keys.length }),
      action: say("remove"),
      typed: user,
    };
    if (!(await ask(context, question))) return "";
    await api.send("DELETE", path);
    location.hash = "#users";
    return say("removed", { name: user });
  };
  const verb = shown.state === "enabled" ? "disable" : "enable";
  return el(
    "div",
    { class: "row" },
    order(context, say(verb), async () => await set(verb), { id: "switch-user" }),
    order(context, say("remove"), remove, { id: "remove-user" }),
    link(say("seeLogs"), "logs", { user }),
    link(say("audit"), "audit", { user }),
    link(say("requests"), "requests", { user }),
  );
}

function invite(context: Context, { path, user }: Looked): HTMLElement {
  const { api, say } = context;
  const given = el("div", {});
  const make = async (): Promise<string> => {
    const made = await api.send<{ invite: { url: string } }>("POST", `${path}/invite`);
    redraw(given, secretOnce(context, say("inviteOf", { user }), made.invite.url));
    return say("done");
  };
  const revoke = async (): Promise<string> => {
    const { revoked } = await api.send<{ revoked: boolean }>("DELETE", `${path}/invite`);
    redraw(given);
    return revoked ? say("inviteRevoked") : say("noInvite");
  };
  return el(
    "section",
    {},
    el("h3", {}, say("invite")),
    el("p", { class: "hint" }, say("inviteHint")),
    el(
      "div",
      { class: "row" },
      order(context, say("makeInvite"), make, { id: "make-invite" }),
      order(context, say("revokeInvite"), revoke, { id: "revoke-invite" }),
    ),
    given,
  );
}

function instances(context: Context, { path, again }: Looked, shown: ShownUser): Child[] {
  const { api, say } = context;
  const run = (verb: "restart" | "stop", server: string, at: number): HTMLElement => {
    const work = async (): Promise<string> => {
      await api.send("POST", `${path}/${verb}?server=${encodeURIComponent(server)}`);
      again();
      return say("done");
    };
    return order(context, say(verb), work, { id: `${verb}-${at}` });
  };
  const heads = [say("server"), say("state"), say("why"), say("sessions"), say("memory"), ""];
  const rows = shown.instances.map((row, at): Child[] => [
    foreign(row.server),
    stateName(context, row.state),
    row.reason === null ? "" : foreign(row.reason),
    row.sessions,
    row.rssBytes === null ? "–" : size(row.rssBytes),
    el("span", { class: "row" }, run("restart", row.server, at), run("stop", row.server, at)),
  ]);
  return [
    el("h3", {}, say("instances")),
    rows.length === 0
      ? el("p", { class: "quiet" }, say("none"))
      : table(say("instances"), heads, rows),
  ];
}

/** What `doctor NAME` says, in its own words. */
function doctor(context: Context, told: Diagnosis): HTMLElement {
  const { say } = context;
  const { cause, next, code, warnings } = told;
  const lines = warnings.map((text) => el("li", { lang: "en" }, inert(text)));
  const isWell = cause === null;
  return el(
    "section",
    { "data-test": "doctor", class: isWell ? undefined : "card failing" },
    el("h3", {}, say("doctor")),
    isWell
      ? el("p", { class: "good" }, say("nothingWrong"))
      : el("p", { class: "cause", lang: "en" }, inert(cause)),
    !isWell && next !== null && el("p", { class: "hint", lang: "en" }, `→ ${inert(next)}`),
    !isWell &&
      el(
        "div",
        { class: "row" },
        ...remedyButtons(context, { code: code ?? "", cause, next: next ?? "" }, "mend"),
      ),
    lines.length > 0 && el("ul", {}, ...lines),
  );
}

function about(context: Context, shown: ShownUser): HTMLElement {
  const { say } = context;
  const { state, name, email, createdAt, urls } = shown;
  const word = state === "enabled" ? "enabled" : state === "disabled" ? "disabled" : "removing";
  return facts([
    [say("state"), say(word)],
    [say("fullName"), name === null ? "–" : foreign(name)],
    [say("email"), email === null ? "–" : foreign(email)],
    [say("createdAt"), time(context, createdAt)],
    [
      say("urls"),
      el(
        "ul",
        {},
        ...urls.map(({ server, http }) => el("li", {}, foreign(server), " ", el("code", {}, http))),
      ),
    ],
  ]);
}

/** One user: what is wrong, what there is, and what can be done. */
export function userView(context: Context, user: string, query: URLSearchParams): HTMLElement {
  const { api, say, signal } = context;
  const failure = failureLine();
  const path = `users/${encodeURIComponent(user)}`;
  const load = async (): Promise<ShownUser> => await api.get(`${path}?doctor=true`, signal);
  const looked: Looked = { user, path, again: () => refresh() };
  const head = el("div", {}, el("p", { class: "quiet" }, say("loading")));
  const tables = el("div", {});
  const draw = (shown: ShownUser): void => {
    redraw(
      head,
      about(context, shown),
      states(context, looked, shown),
      doctor(context, shown.doctor!),
    );
    redraw(
      tables,
      ...instances(context, looked, shown),
      ...tokenTable(context, looked, shown),
      ...keyTable(context, looked, shown),
    );
  };
  const refresh = watch(context, failure, load, draw);
  return el(
    "section",
    { "data-test": "user" },
    el("p", {}, link(`← ${say("users")}`, "users")),
    el("h2", {}, foreign(user)),
    failure,
    head,
    tokenForm(context, looked, query),
    keyForm(context, looked, query),
    invite(context, looked),
    grantsOf(context, looked),
    tables,
    sessionsOf(context, looked),
  );
}
