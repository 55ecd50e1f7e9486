import { Api, publicBase } from "../shared/api.ts";
import { frame, placeIn } from "../shared/frame.ts";
import type { Place } from "../shared/frame.ts";
import { currentLanguage } from "../shared/texts.ts";
import { auditView } from "./audit.ts";
import { wordsIn } from "./context.ts";
import type { Context, Word } from "./context.ts";
import { logsView } from "./logs.ts";
import { machineView } from "./machine.ts";
import { nowView } from "./now.ts";
import { requestsView } from "./requests.ts";
import { serversView } from "./servers.ts";
import { forgetSession, keepSession, sessionToken, takeCode } from "./session.ts";
import { signInForm, trade } from "./sign-in.ts";
import { usersView } from "./users.ts";

type View = (context: Context, query: URLSearchParams) => HTMLElement;

/** What is drawn in each place, in the order in which they stand there. */
const VIEWS: readonly (readonly [name: string, title: Word, view: View])[] = [
  ["now", "now", nowView],
  ["users", "users", usersView],
  ["servers", "servers", serversView],
  ["audit", "audit", auditView],
  ["requests", "requests", requestsView],
  ["logs", "logs", logsView],
  ["machine", "machine", machineView],
];

/** Why the form to sign in is shown, where that is not its first time. */
let why: Word | undefined;
let shown = new AbortController();

const headers = (): Readonly<Record<string, string>> => {
  const token = sessionToken();
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
};

const api = new Api({
  base: new URL("api/", publicBase(import.meta.url)),
  headers,
  onOut: () => {
    if (sessionToken() === undefined) return;
    out("signedOut");
  },
});

function out(reason: Word | undefined): void {
  forgetSession();
  why = reason;
  draw();
}

async function signOut(): Promise<void> {
  await api.send("DELETE", "panel/sessions/own").catch(() => {});
  out(undefined);
}

function signedIn(token: string): void {
  keepSession(token);
  why = undefined;
  draw();
}

/** Trades the code of a link, where the address has one, and draws the page. */
async function begin(): Promise<void> {
  const code = takeCode();
  if (code !== undefined) {
    forgetSession();
    const opened = await trade(api, { code }).catch(() => undefined);
    if (opened !== undefined) return signedIn(opened);
    why = "linkInvalid";
  }
  draw();
}

function draw(): void {
  shown.abort();
  shown = new AbortController();
  const language = currentLanguage();
  const say = wordsIn(language);
  const context: Context = { api, headers, say, language, signal: shown.signal };
  const isIn = sessionToken() !== undefined;
  const places: Place[] = isIn ? VIEWS.map(([name, word]) => ({ name, title: say(word) })) : [];
  const who = isIn ? { name: say("admin"), onSignOut: () => void signOut() } : undefined;
  const main = frame({ title: say("title"), who, places, onLanguage: draw });
  if (!isIn) return main.append(signInForm(context, why, signedIn));
  const { place, query } = placeIn(places);
  const [, , view] = VIEWS.find(([name]) => name === place?.name)!;
  main.append(view(context, query));
}

// A link may be opened in a tab which has the page already.
addEventListener("hashchange", () => void begin());

void begin();
