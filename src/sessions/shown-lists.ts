import { hash } from "node:crypto";
import type { ClientMessage } from "../mcp/client-body.ts";
import type { Text } from "../mcp/long-text.ts";
import { MAX_LIST_BYTES, MAX_PAGES, cursorIn, isListMethod, pageOf } from "./list-pages.ts";
import type { ListMethod, ListPage } from "./list-pages.ts";
import { LazyMap } from "../platform/lazy.ts";

/** What is known of a page that a client was shown: digests, however long it was. */
interface ShownPage {
  readonly digest: string;
  /** Of the cursor to the next one. */
  readonly next: string | undefined;
}

/** Of each list, as JSON has it. */
export type WrittenLists = readonly (readonly [ListMethod, readonly ShownPage[] | null])[];

/** The pages of a list in their order; undefined where it is longer than is known of. */
type Shown = readonly ShownPage[] | undefined;

const digestOf = (text: string): string => hash("sha256", text, "base64");

/** What the client of one session was shown of each list, for whoever has to tell it when that is so no more. */
export class ShownLists {
  readonly #byMethod = new LazyMap<ListMethod, Shown>();

  /** The lists that the client was shown something of. */
  get methods(): ListMethod[] {
    return [...this.#byMethod.keys()];
  }

  /** The client is shown the answer to its request for a page of a list; other requests and errors tell nothing. Whether there is something new to know. */
  note(request: ClientMessage, answer: Text): boolean {
    const { method } = request;
    if (!isListMethod(method)) return false;
    const page = pageOf(method, answer);
    if (page === undefined && answer.length <= MAX_LIST_BYTES) return false;
    const cursor = cursorIn(request);
    if (cursor === undefined) this.#byMethod.set(method, page && [shownOf(page)]);
    else this.#byMethod.set(method, after(this.#byMethod.get(method), digestOf(cursor), page));
    return true;
  }

  /** What was shown, to be kept elsewhere. */
  get written(): WrittenLists {
    return [...this.#byMethod].map(([method, pages]) => [method, pages ?? null]);
  }

  /** What was shown is that which was written. */
  recall(written: WrittenLists): void {
    for (const [method, pages] of written) this.#byMethod.set(method, pages ?? undefined);
  }

  /** Whether the list is another one now than the client was shown, as far as it was; `pages` as those of `allPages`. False for a list that it was not shown. */
  differs(method: ListMethod, pages: readonly ListPage[] | undefined): boolean {
    if (!this.#byMethod.has(method)) return false;
    const shown = this.#byMethod.get(method);
    if (shown === undefined || pages === undefined) return true;
    return shown.some(({ digest }, index) => pages[index]?.digest !== digest);
  }
}

const shownOf = ({ digest, next }: ListPage): ShownPage => ({
  digest,
  next: next && digestOf(next),
});

/** The pages with this one behind that which named its cursor, in the place of what was there. */
function after(shown: Shown, cursor: string, page: ListPage | undefined): Shown {
  const index = shown?.findIndex(({ next }) => next === cursor) ?? -1;
  if (shown === undefined || index === -1 || page === undefined) return undefined;
  return index + 1 === MAX_PAGES ? undefined : [...shown.slice(0, index + 1), shownOf(page)];
}
