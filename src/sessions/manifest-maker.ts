import { setTimeout as delay } from "node:timers/promises";
import { unawaited } from "../containment.ts";
import type { Audience, LastShown } from "../instances/last-shown.ts";
import { MAX_MANIFEST_BYTES } from "../instances/manifests.ts";
import type { Manifest } from "../instances/manifests.ts";
import type { Live } from "../instances/supervisor.ts";
import { locate, valueAt } from "../mcp/json-span.ts";
import { allPages, listsOf } from "./list-pages.ts";
import type { Ask } from "./list-pages.ts";

/** What a client asks at once when it has come goes first. */
const AFTER_MS = 100;
/** How often calls that are under way are looked after, and how many times at most: some last for hours. */
const LOOK_MS = 100;
const MAX_LOOKS = 50;
/** So many kinds of clients is each generation asked for: a client may think of any number. */
const MAX_AUDIENCES = 32;

/** What a child answered that a client began with. */
export type Greeting = Pick<Manifest, "greeting" | "hasSessions">;

/** A child that shows itself to a client, for as long as that is there. */
export interface Shower {
  readonly live: Live;
  /** Undefined where it has said nothing that could be kept. Rejects as `ask` does. */
  readonly greeting: () => Promise<Greeting | undefined>;
  readonly ask: Ask;
  /** Its clients wait for it. */
  readonly isBusy: () => boolean;
}

/** Asks children, once after each start, for all that a client could ask of them while they sleep. */
export class ManifestMaker {
  readonly #lastShown: Pick<LastShown, "wants" | "keep">;
  /** What each generation was asked for, or is. */
  readonly #made = new WeakMap<Live, Set<string>>();

  constructor(lastShown: Pick<LastShown, "wants" | "keep">) {
    this.#lastShown = lastShown;
  }

  /** Whether this generation is still to be asked what it shows to these. */
  wants(live: Live, audience: Audience): boolean {
    const made = this.#made.get(live);
    if (made?.has(nameOf(live, audience)) === true || made?.size === MAX_AUDIENCES) return false;
    return this.#lastShown.wants(live);
  }

  /** Asks the child behind the traffic; one that its client leaves meanwhile is asked for the next one. */
  begin(shower: Shower, audience: Audience): void {
    const { live } = shower;
    if (!this.wants(live, audience)) return;
    const made = this.#made.get(live) ?? new Set();
    const name = nameOf(live, audience);
    this.#made.set(live, made.add(name));
    const again = (): void => void made.delete(name);
    unawaited("session", again, this.#make(shower, audience));
  }

  async #make(shower: Shower, audience: Audience): Promise<void> {
    const { startedAs } = shower.live;
    const { token } = startedAs;
    await wait(AFTER_MS);
    const greeting = await shower.greeting();
    const manifest = greeting && (await manifestOf(shower, greeting));
    // A remote may have been handed another one meanwhile: what it showed is of neither.
    if (startedAs.token === token) this.#lastShown.keep(shower.live, audience, manifest);
  }
}

const nameOf = ({ startedAs }: Live, { era, capabilities, version }: Audience): string =>
  JSON.stringify([era, capabilities, version, startedAs.token]);

const wait = (ms: number): Promise<void> => delay(ms, undefined, { ref: false });

/** A list that cannot be read whole, or that the server does not know after all, is none of it: the child is asked for that. */
async function manifestOf(shower: Shower, greeting: Greeting): Promise<Manifest> {
  const lists = new Map<string, readonly Buffer[]>();
  const ask = quietly(shower);
  for (const method of listsOf(capabilitiesShown(greeting))) {
    const pages = await allPages(ask, method, MAX_MANIFEST_BYTES);
    const results = pages?.map(({ result }) => result);
    if (results !== undefined) lists.set(method, results);
  }
  return { ...greeting, lists };
}

/** Never in the way of what clients ask: one that works message by message would let them wait. */
function quietly({ ask, isBusy }: Shower): Ask {
  return async (method, params) => {
    for (let looks = 0; isBusy() && looks < MAX_LOOKS; looks += 1) await wait(LOOK_MS);
    return await ask(method, params);
  };
}

function capabilitiesShown({ greeting }: Greeting): Readonly<Record<string, unknown>> {
  const span = locate(greeting, ["capabilities"]);
  const shown = span && valueAt(greeting, span);
  return typeof shown === "object" && shown !== null ? (shown as Record<string, unknown>) : {};
}
