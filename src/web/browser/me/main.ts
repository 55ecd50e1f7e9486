import { Api, publicBase } from "../shared/api.ts";
import { frame, placeIn } from "../shared/frame.ts";
import type { Place } from "../shared/frame.ts";
import { foreign } from "../shared/foreign.ts";
import { currentLanguage } from "../shared/texts.ts";
import { accounts } from "./accounts.ts";
import { activity } from "./activity.ts";
import { connect } from "./connect.ts";
import { wordsIn } from "./context.ts";
import type { Context, UserContext, Word } from "./context.ts";
import { playground } from "./playground.ts";
import { forgetSettings } from "./settings.ts";
import { signInForm } from "./sign-in.ts";
import type { Session } from "./types.ts";

/** What is drawn in each place, and what the place is called. */
const PLACES: readonly { name: string; word: Word; draw: (context: UserContext) => HTMLElement }[] =
  [
    { name: "connect", word: "placeConnect", draw: connect },
    { name: "accounts", word: "placeAccounts", draw: accounts },
    { name: "playground", word: "placePlayground", draw: playground },
    { name: "activity", word: "placeActivity", draw: activity },
  ];

let session: Session | undefined;
let isOver = false;
let shown = new AbortController();

const api = new Api({
  base: new URL("me/api/", publicBase(import.meta.url)),
  onOut: () => leave(true),
});

/** Nobody is signed in any more, and nothing of whoever was is left on the page. */
function leave(hasEnded: boolean): void {
  if (session === undefined) return;
  session = undefined;
  isOver = hasEnded;
  forgetSettings();
  draw();
}

async function signOut(): Promise<void> {
  await api.send("DELETE", "session").catch(() => {});
  leave(false);
}

/** Asks who is signed in, and draws the page for them. */
async function begin(): Promise<void> {
  session = await api.get<Session>("session").catch(() => undefined);
  draw();
}

function draw(): void {
  shown.abort();
  shown = new AbortController();
  const language = currentLanguage();
  const say = wordsIn(language);
  const context: Context = { api, say, language, signal: shown.signal };
  const places: Place[] =
    session === undefined ? [] : PLACES.map(({ name, word }) => ({ name, title: say(word) }));
  const who = session && { name: foreign(session.user), onSignOut: () => void signOut() };
  const main = frame({ title: say("title"), who, places, onLanguage: draw });
  if (session === undefined) {
    main.append(signInForm(context, isOver, () => void begin()));
    return;
  }
  const { place, query } = placeIn(places);
  const found = PLACES.find(({ name }) => name === place?.name);
  if (found !== undefined) main.append(found.draw({ ...context, session, query }));
}

addEventListener("hashchange", draw);
void begin();
