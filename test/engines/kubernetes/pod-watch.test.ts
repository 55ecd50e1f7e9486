import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { ApiFailure } from "../../../src/engines/kubernetes/api/failure.ts";
import type { Pod } from "../../../src/engines/kubernetes/api/objects.ts";
import { PodWatch } from "../../../src/engines/kubernetes/api/pod-watch.ts";
import { skippingTime } from "../../helpers/skippable-time.ts";
import { until } from "../../helpers/until.ts";

const pod = (name: string, resourceVersion = "1"): Pod => ({ metadata: { name, resourceVersion } });
const line = (type: string, object: object): string => JSON.stringify({ type, object });

/** What the apiserver answers: lists in turn, and watches, of which each one goes on until it is ended. */
interface Script {
  lists: (readonly Pod[] | Error)[];
  watches: (readonly string[])[];
}

function follow(t: TestContext, { lists, watches }: Script) {
  const skip = skippingTime(t);
  const asked: string[] = [];
  const news: string[] = [];
  const troubles: (string | undefined)[] = [];
  const client = {
    // oxlint-disable-next-line require-await -- what is a failure rejects
    ask: async <T>() => {
      asked.push("list");
      const items = lists.length > 1 ? lists.shift()! : lists[0]!;
      if (items instanceof Error) throw items;
      return { metadata: { resourceVersion: "7" }, items } as T;
    },
    async *lines({
      query,
      signal,
    }: {
      query?: Readonly<Record<string, string>>;
      signal: AbortSignal;
    }) {
      asked.push(`watch from ${query?.["resourceVersion"]}`);
      const said = watches.shift();
      yield* said ?? [];
      if (said !== undefined && watches.length > 0) return;
      await new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason as Error)),
      );
    },
  };
  const watch = new PodWatch({
    client,
    namespace: "mcps",
    selector: "mine",
    onPod: ({ metadata }, isGone) => news.push(`${isGone ? "-" : "+"}${metadata.name}`),
    onTrouble: (failure) => troubles.push(failure?.message),
  });
  t.after(() => watch.close());
  watch.begin();
  /** Its rests between two tries are not waited out. */
  const askedTimes = (count: number): Promise<unknown> =>
    until(() => {
      skip(1000);
      return asked.length === count;
    }, `it has asked ${count} times`);
  return { watch, asked, askedTimes, news, troubles };
}

test("what there is, comes and goes is told", async (t) => {
  const said = [line("ADDED", pod("b")), line("DELETED", pod("a"))];
  const { watch, news } = follow(t, { lists: [[pod("a")]], watches: [said] });
  await watch.synced;
  await until(() => news.length === 3, "all of it is told");
  assert.deepEqual(news, ["+a", "+b", "-a"]);
  assert.deepEqual(watch.all(), [pod("b")]);
});

test("a watch that the apiserver ends goes on from where it was", async (t) => {
  const said = [line("BOOKMARK", pod("", "12"))];
  const { asked, askedTimes } = follow(t, { lists: [[]], watches: [said, []] });
  await askedTimes(3);
  assert.deepEqual(asked, ["list", "watch from 7", "watch from 12"]);
});

test("where the apiserver has forgotten that place, all is listed anew, and what went meanwhile is told", async (t) => {
  const expired = line("ERROR", { code: 410, reason: "Expired", message: "too old" });
  const script = { lists: [[pod("a"), pod("b")], [pod("b")]], watches: [[expired], []] };
  const { asked, askedTimes, news, troubles } = follow(t, script);
  await askedTimes(4);
  assert.deepEqual(asked, ["list", "watch from 7", "list", "watch from 7"]);
  assert.deepEqual(news, ["+a", "+b", "+b", "-a"]);
  assert.deepEqual(troubles, [], "nothing that an admin has to know");
});

test("while the apiserver is away nothing is told to be gone, and its absence once", async (t) => {
  const away = new ApiFailure("it cannot be reached");
  const expired = line("ERROR", { code: 500, message: "broken" });
  const script = { lists: [[pod("a")], away, away, [pod("a")]], watches: [[expired], []] };
  const { askedTimes, news, troubles } = follow(t, script);
  await askedTimes(6);
  assert.deepEqual(news, ["+a", "+a"]);
  assert.deepEqual(troubles, ["broken", undefined]);
});
