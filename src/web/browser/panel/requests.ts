import { el, labelled, redraw } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import { foreign } from "../shared/foreign.ts";
import { failureLine, sentenceFor } from "../shared/frame.ts";
import { inert } from "../shared/inert.ts";
import { watch } from "../shared/poll.ts";
import { took } from "../shared/times.ts";
import { auditTable } from "./audit.ts";
import { addressOf } from "./context.ts";
import type { Context } from "./context.ts";
import type { RequestStory, ToldRequest } from "./types.ts";
import { facts, formOf, link, table, time } from "./ui.ts";

const orDash = (text: string | null): Child => (text === null ? "–" : foreign(text));

function listOf(context: Context, requests: readonly ToldRequest[]): HTMLElement {
  const { say } = context;
  const heads = [
    "at",
    "requestId",
    "requestText",
    "user",
    "server",
    "status",
    "why",
    "took",
  ] as const;
  const rows = requests.map((row): Child[] => [
    time(context, row.at),
    link(foreign(row.requestId), "requests", { id: row.requestId }),
    foreign(row.tool === null ? row.request : `${row.request} (${row.tool})`),
    orDash(row.user),
    orDash(row.server),
    row.status,
    foreign(row.code === null ? "" : `${row.code}: ${row.message ?? ""}`),
    took(row.durationMs),
  ]);
  return table(
    say("requests"),
    heads.map((word) => say(word)),
    rows,
  );
}

/** What became of one request. */
function story(context: Context, id: string): HTMLElement {
  const { api, say, language, signal } = context;
  const body = el("div", {}, el("p", { class: "quiet" }, say("loading")));
  const failure = failureLine();
  const draw = ({ request, entries }: RequestStory): void => {
    const told =
      request === null
        ? el("p", { class: "quiet" }, say("requestForgotten"))
        : facts([
            [say("at"), time(context, request.at)],
            [say("requestText"), foreign(request.request)],
            [say("status"), request.status],
            [say("took"), took(request.durationMs)],
            [say("user"), orDash(request.user)],
            [say("server"), orDash(request.server)],
            [say("tool"), orDash(request.tool)],
            [say("accessKey"), orDash(request.keyLabel)],
            [say("from"), foreign(request.remoteAddress)],
            [say("userAgent"), foreign(request.userAgent)],
            [
              say("why"),
              foreign(request.code === null ? "–" : `${request.code}: ${request.message ?? ""}`),
            ],
          ]);
    const details = request?.details ?? [];
    redraw(
      body,
      told,
      details.length > 0 && el("pre", { tabindex: "0" }, inert(details.join("\n"))),
      entries.length > 0 && auditTable(context, entries),
    );
  };
  api
    .get<RequestStory>(`requests/${encodeURIComponent(id)}`, signal)
    .then(draw, (error: unknown) => {
      redraw(body);
      failure.textContent = sentenceFor(error, language);
    });
  return el(
    "section",
    { "data-test": "story" },
    el("h3", {}, say("request", { id })),
    failure,
    body,
  );
}

/** The last requests of the gateway, or the story of one. */
export function requestsView(context: Context, query: URLSearchParams): HTMLElement {
  const { api, say, signal } = context;
  const failure = failureLine();
  const body = el("div", {}, el("p", { class: "quiet" }, say("loading")));
  const wanted = query.get("id") ?? "";
  const ofUser = query.get("user") ?? "";
  const id = el("input", {
    id: "request-id",
    autocomplete: "off",
    spellcheck: "false",
    value: wanted,
  });
  const user = el("input", { id: "of-user", autocomplete: "off", value: ofUser });
  const go = el("button", { type: "submit", class: "main" }, say("look"));
  const look = (): void => {
    const given = Object.entries({ id: id.value.trim(), user: user.value.trim() });
    const query2 = Object.fromEntries(given.filter(([, value]) => value !== ""));
    location.hash = addressOf("requests", query2);
  };
  const path = ofUser === "" ? "requests" : `requests?user=${encodeURIComponent(ofUser)}`;
  const load = async (): Promise<{ requests: ToldRequest[] }> => await api.get(path, signal);
  const draw = ({ requests }: { requests: ToldRequest[] }): void => {
    redraw(body, listOf(context, requests));
  };
  watch(context, failure, load, draw);
  const fields = [labelled(say("requestId"), id), labelled(say("user"), user), go];
  return el(
    "section",
    {},
    el("h2", {}, say("requests")),
    formOf(fields, look),
    wanted !== "" && story(context, wanted),
    failure,
    body,
  );
}
