import { Api, publicBase } from "../shared/api.ts";
import { frame, placeIn } from "../shared/frame.ts";
import type { Place } from "../shared/frame.ts";
import { foreign } from "../shared/foreign.ts";
import { currentLanguage } from "../shared/texts.ts";
import { wordsIn } from "./context.ts";
import type { Context } from "./context.ts";
import { signInForm } from "./sign-in.ts";

interface Session {
  readonly user: string;
}

/** What is drawn in each place. */
const VIEWS: Readonly<Record<string, (context: Context, query: URLSearchParams) => HTMLElement>> =
  {};

let session: Session | undefined;
let isOver = false;
let shown = new AbortController();

const api = new Api({
  base: new URL("me/api/", publicBase(import.meta.url)),
  onOut: () => {
    if (session === undefined) return;
    session = undefined;
    isOver = true;
    draw();
  },
});

async function signOut(): Promise<void> {
  await api.send("DELETE", "session").catch(() => {});
  session = undefined;
  isOver = false;
  draw();
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
  const places: Place[] = [];
  const who = session && { name: foreign(session.user), onSignOut: () => void signOut() };
  const main = frame({ title: say("title"), who, places, onLanguage: draw });
  const { place, query } = placeIn(places);
  if (session === undefined) main.append(signInForm(context, isOver, () => void begin()));
  else if (place !== undefined) main.append(VIEWS[place.name]!(context, query));
}

addEventListener("hashchange", draw);
void begin();
