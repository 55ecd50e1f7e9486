import { button, el, redraw } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import { foreign } from "../shared/foreign.ts";
import { failureLine, sentenceFor } from "../shared/frame.ts";
import { inert } from "../shared/inert.ts";
import type { Context, Word } from "./context.ts";
import type { Finding, PanelSession } from "./types.ts";
import { order, table, time } from "./ui.ts";

const OUTCOMES: Readonly<Record<Finding["outcome"], Word>> = {
  ok: "outcomeOk",
  warning: "outcomeWarning",
  failed: "outcomeFailed",
};
const WORST_FIRST: readonly Finding["outcome"][] = ["failed", "warning", "ok"];

function findings({ say }: Context, found: readonly Finding[]): HTMLElement {
  const rows = found
    .toSorted((a, b) => WORST_FIRST.indexOf(a.outcome) - WORST_FIRST.indexOf(b.outcome))
    .map((row): Child[] => [
      el("span", { class: `state ${row.outcome}` }, say(OUTCOMES[row.outcome])),
      foreign(row.check),
      el("span", { lang: "en" }, inert(row.found)),
      el("span", { lang: "en" }, inert(row.next ?? "")),
    ]);
  return table(say("doctor"), [say("outcome"), say("check"), say("found"), say("next")], rows);
}

function sessions(context: Context, rows: readonly PanelSession[], again: () => void): HTMLElement {
  const { api, say } = context;
  const end = async (id: string): Promise<string> => {
    await api.send("DELETE", `panel/sessions/${encodeURIComponent(id)}`);
    again();
    return say("done");
  };
  const heads = ["sessionId", "by", "since", "lastSeen", "endsAt"] as const;
  const cells = rows.map(({ id, by, since, lastSeenAt, expiresAt, isOwn }): Child[] => [
    el("code", {}, id),
    foreign(by),
    time(context, since),
    time(context, lastSeenAt),
    time(context, expiresAt),
    isOwn
      ? say("thisOne")
      : order(context, say("end"), async () => await end(id), { id: `end-${id}` }),
  ]);
  return table(say("panelSessions"), [...heads.map((word) => say(word)), ""], cells);
}

/** What doctor says of the machine, and who is signed in here. */
export function machineView(context: Context): HTMLElement {
  const { api, say, language, signal } = context;
  const failure = failureLine();
  const body = el("div", {}, el("p", { class: "quiet" }, say("loading")));
  const load = async (): Promise<void> => {
    failure.textContent = "";
    try {
      const [doctor, signedIn] = await Promise.all([
        api.get<{ ok: boolean; findings: Finding[] }>("doctor", signal),
        api.get<{ sessions: PanelSession[] }>("panel/sessions", signal),
      ]);
      redraw(
        body,
        el(
          "p",
          { class: doctor.ok ? "good" : "error" },
          say(doctor.ok ? "nothingFailed" : "somethingFailed"),
        ),
        findings(context, doctor.findings),
        el("h3", {}, say("panelSessions")),
        sessions(context, signedIn.sessions, () => void load()),
      );
    } catch (error) {
      if (!signal.aborted) failure.textContent = sentenceFor(error, language);
    }
  };
  void load();
  const again = button(say("lookAgain"), () => void load(), { id: "look-again" });
  return el("section", {}, el("h2", {}, say("machine")), again, failure, body);
}
