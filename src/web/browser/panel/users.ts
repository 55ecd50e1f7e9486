import { button, el, labelled, redraw } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import { foreign } from "../shared/foreign.ts";
import { failureLine } from "../shared/frame.ts";
import { watch } from "../shared/poll.ts";
import type { Context } from "./context.ts";
import type { ListedUser } from "./types.ts";
import { act, formOf, link, secretOnce, table, time } from "./ui.ts";
import { userView } from "./user.ts";

/** More are found by a search: nobody reads ten thousand rows, and no screen is quick with them. */
const MAX_ROWS = 200;
/** A list with more is work for the daemon, and is asked for less often. */
const LONG_LIST_MS = 60_000;

const matches = ({ user, name, email }: ListedUser, wanted: string): boolean =>
  [user, name, email].some((text) => text?.toLowerCase().includes(wanted) === true);

export const userState = ({ say }: Context, state: ListedUser["state"]): string =>
  say(state === "enabled" ? "enabled" : state === "disabled" ? "disabled" : "removing");

function rowOf(context: Context, row: ListedUser): Child[] {
  return [
    link(foreign(row.user), "users", { name: row.user }),
    row.name === null ? "" : foreign(row.name),
    row.email === null ? "" : foreign(row.email),
    userState(context, row.state),
    time(context, row.lastSeenAt),
    row.keys,
    row.tokens,
    foreign(row.servers.join(", ")),
  ];
}

function list(context: Context): HTMLElement {
  const { api, say, signal } = context;
  const failure = failureLine();
  const body = el("div", {}, el("p", { class: "quiet" }, say("loading")));
  const search = el("input", { type: "search", autocomplete: "off", id: "search" });
  let all: readonly ListedUser[] = [];
  const draw = (): void => {
    const found = all.filter((row) => matches(row, search.value.trim().toLowerCase()));
    const heads = ["user", "fullName", "email", "state", "lastSeen", "keys", "tokens", "servers"];
    const more = found.length - MAX_ROWS;
    redraw(
      body,
      table(
        say("users"),
        heads.map((word) => say(word as "user")),
        found.slice(0, MAX_ROWS).map((row) => rowOf(context, row)),
      ),
      more > 0 && el("p", {}, say("andMoreSearch", { count: more })),
      found.length === 0 && el("p", { class: "quiet" }, say("nobody")),
    );
  };
  search.addEventListener("input", draw);
  let loadedAt = -Infinity;
  const load = async (): Promise<{ users: readonly ListedUser[] }> => {
    const isFresh = all.length > MAX_ROWS && performance.now() - loadedAt < LONG_LIST_MS;
    if (isFresh) return { users: all };
    const loaded = await api.get<{ users: ListedUser[] }>("users", signal);
    loadedAt = performance.now();
    return loaded;
  };
  const show = ({ users }: { users: readonly ListedUser[] }): void => {
    all = users;
    draw();
  };
  watch(context, failure, load, show);
  return el("div", {}, labelled(say("search"), search), failure, body);
}

interface Added {
  user: string;
  key?: { secret: string };
  invite?: { url: string };
}

const optional = (field: HTMLInputElement): string | undefined =>
  field.value === "" ? undefined : field.value;

/** The form for a new user, who gets an access key or an invite. */
function adding(context: Context): HTMLElement {
  const { api, say } = context;
  const failure = failureLine();
  const given = el("div", {});
  const user = el("input", {
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    id: "new-user",
  });
  const name = el("input", { autocomplete: "off" });
  const email = el("input", { type: "email", autocomplete: "off" });
  const token = el("input", {
    type: "password",
    autocomplete: "new-password",
    spellcheck: "false",
  });
  const go = el("button", { type: "submit", class: "main" }, say("addWithKey"));
  const add = async (invite: boolean): Promise<string> => {
    const about = { name: optional(name), email: optional(email), token: optional(token) };
    const added = await api.send<Added>("POST", "users", { user: user.value, invite, ...about });
    token.value = "";
    redraw(
      given,
      added.key && secretOnce(context, say("keyOf", { user: added.user }), added.key.secret),
      added.invite && secretOnce(context, say("inviteOf", { user: added.user }), added.invite.url),
    );
    return say("added", { name: added.user });
  };
  const invite = button(say("addWithInvite"), () => {
    if (form.reportValidity()) void act(context, invite, failure, async () => await add(true));
  });
  const form = formOf(
    [
      labelled(say("user"), user, say("slugHint")),
      labelled(say("fullName"), name, say("formOptional")),
      labelled(say("email"), email, say("formOptional")),
      labelled(say("generalToken"), token, say("formOptional")),
      el("div", { class: "row" }, go, invite),
    ],
    () => void act(context, go, failure, async () => await add(false)),
  );
  return el("details", { id: "add-user" }, el("summary", {}, say("addUser")), form, failure, given);
}

/** All users, or the one that the address names. */
export function usersView(context: Context, query: URLSearchParams): HTMLElement {
  const name = query.get("name");
  if (name !== null && name !== "") return userView(context, name, query);
  const { say } = context;
  return el("section", {}, el("h2", {}, say("users")), adding(context), list(context));
}
