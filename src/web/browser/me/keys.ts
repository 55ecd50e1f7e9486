import { add, button, el, labelled, redraw } from "../shared/dom.ts";
import { failureLine, sentenceFor } from "../shared/frame.ts";
import { foreign } from "../shared/foreign.ts";
import { inert } from "../shared/inert.ts";
import { instant } from "../shared/times.ts";
import { sure } from "./ask.ts";
import { press } from "../shared/press.ts";
import type { UserContext } from "./context.ts";
import { copyable } from "../shared/copy.ts";
import type { Key } from "./types.ts";

interface Listed {
  readonly keys: readonly Key[];
  readonly current: string;
}

/** The user's access keys: issued, named, given an end, revoked. A secret is shown once, and is nowhere then. */
export function keys(context: UserContext): HTMLElement {
  const { api, say, language } = context;
  const [list, given, failure] = [el("div"), el("div"), failureLine()];
  const load = async (): Promise<void> => {
    try {
      const listed = await api.get<Listed>("keys");
      redraw(list, keyTable(context, listed, { load: () => void load(), failure }));
    } catch (error) {
      failure.textContent = sentenceFor(error, language);
    }
  };
  void load();
  return el(
    "section",
    {},
    el("h2", {}, say("keysTitle")),
    list,
    failure,
    given,
    issueForm(context, (secret) => {
      showOnce(context, given, secret);
      void load();
    }),
  );
}

function showOnce(context: UserContext, given: HTMLElement, secret: string): void {
  const { say } = context;
  const done = button(say("keySecretDone"), () => redraw(given), { id: "key-kept" });
  redraw(
    given,
    el(
      "div",
      { class: "card", role: "status", id: "new-key" },
      el("p", {}, say("keySecret")),
      copyable(context, secret),
      done,
    ),
  );
}

interface Fields {
  readonly element: HTMLElement;
  readonly read: () => { label: string | null; expiresAt: number | null };
}

function aboutFields({ say }: UserContext, key?: Key): Fields {
  const label = el("input", { maxlength: "100", autocomplete: "off", value: key?.label ?? "" });
  const day = el("input", { type: "date", value: dayOf(key?.expiresAt ?? null) });
  const element = el(
    "div",
    {},
    labelled(say("keyLabel"), label),
    labelled(say("keyEndDate"), day, say("keyEndHint")),
  );
  const read = () => ({
    label: label.value.trim() === "" ? null : label.value.trim(),
    expiresAt: day.value === "" ? null : endOfDay(day.value),
  });
  return { element, read };
}

/** The end of that day where the reader is. */
const endOfDay = (day: string): number => new Date(`${day}T23:59:59`).getTime();

const two = (value: number): string => String(value).padStart(2, "0");

function dayOf(at: number | null): string {
  if (at === null) return "";
  const date = new Date(at);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

function issueForm(context: UserContext, done: (secret: string) => void): HTMLElement {
  const { api, say } = context;
  const failure = failureLine();
  const fields = aboutFields(context);
  const go = el("button", { type: "submit", class: "main" }, say("keyIssue"));
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    void press(context, { button: go, failure }, async () => {
      const { secret } = await api.send<{ secret: string }>("POST", "keys", fields.read());
      done(secret);
    });
  };
  return el(
    "details",
    { id: "issue" },
    el("summary", {}, say("keyIssueTitle")),
    el("form", { onsubmit: submit, id: "issue-key" }, fields.element, go),
    failure,
  );
}

interface TableParts {
  readonly load: () => void;
  readonly failure: HTMLElement;
}

function keyTable(
  context: UserContext,
  { keys: all, current }: Listed,
  parts: TableParts,
): HTMLElement {
  const { say, language } = context;
  const rows = all.map((key) => {
    const cells = [
      el(
        "td",
        {},
        foreign(key.label ?? say("unnamed")),
        key.id === current && ` ${say("keyCurrent")}`,
      ),
      el("td", {}, el("code", {}, `${key.prefix}…`)),
      el("td", {}, instant(key.createdAt, language)),
      el("td", {}, key.expiresAt === null ? say("never") : instant(key.expiresAt, language)),
      el("td", { class: "row" }, ...keyButtons(context, key, parts)),
    ];
    return el("tr", {}, ...cells);
  });
  const heads = [say("keyLabel"), say("keyBegins"), say("keyCreated"), say("keyEnds"), ""].map(
    (text) => (text === "" ? el("td") : el("th", { scope: "col" }, text)),
  );
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": say("keysTitle") },
    el("table", {}, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...rows)),
  );
}

function keyButtons(context: UserContext, key: Key, { load, failure }: TableParts): HTMLElement[] {
  const { api, say } = context;
  const name = inert(key.label ?? key.prefix);
  const revoke = button(
    say("keyRevoke"),
    () => {
      void press(context, { button: revoke, failure }, async () => {
        const question = say("keyRevokeAsk", { name });
        if (!(await sure(context, question, say("keyRevoke")))) return;
        await api.send("DELETE", `keys/${key.id}`);
        load();
      });
    },
    { "aria-label": `${say("keyRevoke")}: ${name}` },
  );
  const change = button(say("keyChange"), () => editKey(context, key, load), {
    "aria-label": `${say("keyChange")}: ${name}`,
  });
  return [change, revoke];
}

function editKey(context: UserContext, key: Key, load: () => void): void {
  const { api, say, signal } = context;
  const fields = aboutFields(context, key);
  const failure = failureLine();
  const save = el("button", { type: "submit", class: "main" }, say("keySave"));
  const dialog = el("dialog", { "aria-label": say("keyChange") });
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    void press(context, { button: save, failure }, async () => {
      await api.send("PATCH", `keys/${key.id}`, fields.read());
      dialog.close();
      load();
    });
  };
  const cancel = button(say("cancel"), () => dialog.close());
  add(
    dialog,
    el(
      "form",
      { onsubmit: submit },
      fields.element,
      failure,
      el("div", { class: "row" }, cancel, save),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  signal.addEventListener("abort", () => dialog.close(), { once: true });
  document.body.append(dialog);
  dialog.showModal();
}
