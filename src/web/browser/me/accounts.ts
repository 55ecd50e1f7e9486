import { add, button, el, labelled, redraw } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import { failureLine, tell } from "../shared/frame.ts";
import { foreign, webAddress } from "../shared/foreign.ts";
import { instant } from "../shared/times.ts";
import { watch } from "../shared/poll.ts";
import { press } from "../shared/press.ts";
import type { UserContext } from "./context.ts";
import type { Account, Accounts } from "./types.ts";

/** The user's accounts elsewhere, and tokens of the user's own. */
export function accounts(context: UserContext): HTMLElement {
  const { api, say, signal, session } = context;
  const [list, failure] = [el("div"), failureLine()];
  const form = el("div");
  let settable: string | undefined;
  const draw = (known: Accounts): void => {
    const cards = known.accounts.map((account) => accountCard(context, account, failure));
    redraw(list, ...(cards.length === 0 ? [el("p", {}, say("accountsNone"))] : cards));
    // A field is drawn anew only where there are other servers to choose.
    if (!session.selfService || settable === known.settable.join()) return;
    settable = known.settable.join();
    redraw(form, tokenForm(context, known.settable));
  };
  watch(context, failure, () => api.get<Accounts>("accounts", signal), draw);
  return el(
    "div",
    {},
    el(
      "section",
      {},
      el("h2", {}, say("accountsTitle")),
      el("p", {}, say("accountsWhy")),
      failure,
      list,
    ),
    form,
  );
}

function accountCard(context: UserContext, account: Account, failure: HTMLElement): HTMLElement {
  const { say, language } = context;
  const { server, provider, expiresAt, setAt, fingerprint, grant, canConnect } = account;
  const facts: Child[] = [];
  const fact = (name: string, value: Child): void => {
    facts.push(el("dt", {}, name), el("dd", {}, value));
  };
  const time = (at: number): Child => instant(at, language);
  if (provider !== null) fact(say("accountProvider"), foreign(provider));
  if (expiresAt !== null) fact(say("accountUntil"), time(expiresAt));
  if (setAt !== null) fact(say("accountSet"), time(setAt));
  if (grant !== null && grant.refreshedAt !== null)
    fact(say("accountRenewed"), time(grant.refreshedAt));
  if (fingerprint !== null) fact(say("fingerprint"), el("code", {}, fingerprint));
  const title = server === null ? say("accountGeneral") : foreign(server);
  const card = el("article", { class: "card" }, el("h3", {}, title), stateOf(context, account));
  add(card, el("dl", {}, ...facts), canConnect && connectButton(context, account, failure));
  return card;
}

const bad = (text: string): HTMLElement => el("p", { class: "error" }, text);

function stateOf({ say }: UserContext, { fingerprint, expiresAt, grant }: Account): HTMLElement {
  if (grant?.needsReauth != null)
    return bad(say("accountAnew", { reason: grant.needsReauth.reason }));
  if (fingerprint === null) return bad(say("accountMissing"));
  if (expiresAt !== null && expiresAt <= Date.now()) return bad(say("accountExpired"));
  const result = grant?.lastResult ?? "ok";
  if (result !== "ok") return bad(say("accountFailed", { reason: result }));
  return el("p", { class: "good" }, say("accountGood"));
}

function connectButton(context: UserContext, account: Account, failure: HTMLElement): HTMLElement {
  const { api, say } = context;
  const server = account.server!;
  const label = say(account.fingerprint === null ? "accountConnect" : "accountReconnect");
  const go = button(
    label,
    () => {
      void press(context, { button: go, failure }, async () => {
        const { location: to } = await api.send<{ location: string }>("POST", `accounts/${server}`);
        const url = webAddress(to);
        if (url !== undefined) location.assign(url.href);
      });
    },
    { class: "main", id: `connect-${server}`, "aria-label": `${label}: ${server}` },
  );
  return go;
}

function tokenForm(context: UserContext, settable: readonly string[]): HTMLElement {
  const { api, say } = context;
  const failure = failureLine();
  const server = el("select", {}, el("option", { value: "" }, say("accountGeneral")));
  for (const name of settable) add(server, el("option", { value: name }, name));
  const token = el("input", {
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
  });
  const go = el("button", { type: "submit", class: "main" }, say("tokenSave"));
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    void press(context, { button: go, failure }, async () => {
      const wanted = { token: token.value, server: server.value === "" ? null : server.value };
      token.value = "";
      await api.send("PUT", "token", wanted);
      tell(say("tokenSaved"));
    });
  };
  return el(
    "section",
    {},
    el("h2", {}, say("tokenTitle")),
    el("p", {}, say("tokenWhy")),
    el(
      "form",
      { onsubmit: submit, id: "own-token" },
      labelled(say("tokenServer"), server),
      labelled(say("token"), token),
      go,
    ),
    failure,
  );
}
