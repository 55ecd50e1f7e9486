import { el, labelled } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import { foreign } from "../shared/foreign.ts";
import { failureLine } from "../shared/frame.ts";
import type { Context, Looked } from "./context.ts";
import type { ShownUser } from "./types.ts";
import { act, ask, formOf, instantIn, order, table, time } from "./ui.ts";

const queryOf = (server: string | null): string =>
  server === null || server === "" ? "" : `?server=${encodeURIComponent(server)}`;

/** Tokens by fingerprint: what is stored is shown to nobody. */
export function tokenTable(context: Context, looked: Looked, { tokens }: ShownUser): Child[] {
  const { api, say } = context;
  const { path, again } = looked;
  const clear = async (server: string | null): Promise<string> => {
    const question = { title: say("clearToken"), text: say("clearWhat"), action: say("clear") };
    if (!(await ask(context, question))) return "";
    await api.send("DELETE", `${path}/token${queryOf(server)}`);
    again();
    return say("done");
  };
  const refresh = async (server: string | null): Promise<string> => {
    await api.send("POST", `${path}/refresh${queryOf(server)}`);
    again();
    return say("done");
  };
  const rows = tokens.map(({ server, fingerprint, setAt, expiresAt, grant }, at): Child[] => [
    server === null ? say("allServers") : foreign(server),
    fingerprint === null ? "–" : el("code", {}, fingerprint),
    time(context, setAt),
    time(context, expiresAt, say("never")),
    grant === null ? "" : foreign(grant.provider),
    el(
      "span",
      { class: "row" },
      order(context, say("clear"), async () => await clear(server), { id: `clear-${at}` }),
      grant !== null &&
        order(context, say("refresh"), async () => await refresh(server), { id: `refresh-${at}` }),
    ),
  ]);
  const heads = ["server", "fingerprint", "setAt", "endsAt", "provider"] as const;
  return [
    el("h3", {}, say("tokens")),
    rows.length === 0
      ? el("p", { class: "quiet" }, say("none"))
      : table(say("tokens"), [...heads.map((word) => say(word)), ""], rows),
  ];
}

/** The form for a new token, open where the address asks for it. */
export function tokenForm(
  context: Context,
  { path, again }: Looked,
  query: URLSearchParams,
): HTMLElement {
  const { api, say } = context;
  const failure = failureLine();
  const token = el("input", {
    type: "password",
    autocomplete: "new-password",
    spellcheck: "false",
    required: true,
    id: "new-token",
  });
  const server = el("input", {
    autocomplete: "off",
    spellcheck: "false",
    value: query.get("server") ?? "",
  });
  const ends = el("input", { type: "datetime-local" });
  const go = el("button", { type: "submit", class: "main" }, say("setToken"));
  const store = async (): Promise<string> => {
    const body = { token: token.value, expiresAt: instantIn(ends) };
    await api.send("PUT", `${path}/token${queryOf(server.value.trim())}`, body);
    token.value = "";
    again();
    return say("done");
  };
  const form = formOf(
    [
      labelled(say("token"), token, say("tokenHint")),
      labelled(say("server"), server, say("generalHint")),
      labelled(say("endsAt"), ends, say("formOptional")),
      go,
    ],
    () => void act(context, go, failure, store),
  );
  const isOpen = query.get("form") === "token";
  return el(
    "details",
    { id: "token-form", open: isOpen },
    el("summary", {}, say("setToken")),
    form,
    failure,
  );
}
