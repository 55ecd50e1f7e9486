import assert from "node:assert/strict";
import { test } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import type { Audience } from "../../src/instances/last-shown.ts";
import type { Manifest } from "../../src/instances/manifests.ts";
import type { Live } from "../../src/instances/supervisor.ts";
import type { Text } from "../../src/mcp/long-text.ts";
import { ManifestMaker } from "../../src/sessions/manifest-maker.ts";
import type { Shower } from "../../src/sessions/manifest-maker.ts";
import { testInstance } from "../helpers/instance.ts";
import { until } from "../helpers/until.ts";

const AUDIENCE: Audience = { era: "legacy", capabilities: "{}", version: undefined };
const GREETING = '{"protocolVersion":"2025-06-18","capabilities":{"tools":{},"resources":{}}}';

const answer = (method: string, text: string): Text =>
  Buffer.from(`{"jsonrpc":"2.0","id":"${method}","result":${text}}`);

/** What a child answers to each list, in place of an empty one. */
type Answers = Record<string, (params: string) => Text | Promise<Text>>;

async function rig(answers: Answers = {}) {
  const one = testInstance();
  one.start(new URL("http://127.0.0.1:9/mcp"));
  const live = await one.instance.ensure();
  const kept: { live: Live; manifest: Manifest | undefined }[] = [];
  const asked: string[] = [];
  const is = { wanted: true, busy: false };
  const maker = new ManifestMaker({
    wants: () => is.wanted,
    keep: (of, _audience, manifest) => void kept.push({ live: of, manifest }),
  });
  const shower: Shower = {
    live,
    greeting: () => Promise.resolve({ greeting: Buffer.from(GREETING), hasSessions: true }),
    ask: async (method, params) => {
      asked.push(`${method} ${params}`);
      return await (answers[method]?.(params) ?? answer(method, "{}"));
    },
    isBusy: () => is.busy,
  };
  return { maker, shower, kept, asked, is, live };
}

test("each list that the capabilities name is asked for, and kept whole", async () => {
  const { maker, shower, kept, asked, live } = await rig({
    "tools/list": (params) =>
      answer("t", params === "{}" ? '{"tools":[1],"nextCursor":"2"}' : '{"tools":[ 2 ]}'),
  });
  maker.begin(shower, AUDIENCE);
  await until(() => kept.length > 0, "it is kept");
  assert.deepEqual(asked, [
    "tools/list {}",
    'tools/list {"cursor":"2"}',
    "resources/list {}",
    "resources/templates/list {}",
  ]);
  const { manifest } = kept[0]!;
  assert.equal(kept[0]!.live, live);
  assert.equal(manifest!.greeting.toString(), GREETING);
  assert.deepEqual(manifest!.lists.get("tools/list")!.map(String), [
    '{"tools":[1],"nextCursor":"2"}',
    '{"tools":[ 2 ]}',
  ]);
});

test("a generation is asked once for each audience, and not where nothing is to be kept", async () => {
  const { maker, shower, kept, asked, is } = await rig();
  maker.begin(shower, AUDIENCE);
  maker.begin(shower, AUDIENCE);
  maker.begin(shower, { ...AUDIENCE, capabilities: '{"roots":{}}' });
  await until(() => kept.length === 2, "both are kept");
  maker.begin(shower, AUDIENCE);
  is.wanted = false;
  maker.begin(shower, { ...AUDIENCE, version: "2025-06-18" });
  assert.equal(maker.wants(shower.live, AUDIENCE), false);
  assert.equal(asked.length, 6);
});

test("a list that cannot be read whole is left to the child, and one that says nothing leaves no manifest", async () => {
  const { maker, shower, kept } = await rig({
    "tools/list": () => Buffer.from('{"id":1,"error":{"code":-32603,"message":"later"}}'),
    "resources/templates/list": () => answer("r", '{"nextCursor":"for ever"}'),
  });
  maker.begin(shower, AUDIENCE);
  await until(() => kept.length > 0, "it is kept");
  assert.deepEqual([...kept[0]!.manifest!.lists.keys()], ["resources/list"]);
  const silent = await rig();
  silent.maker.begin({ ...silent.shower, greeting: () => Promise.resolve(undefined) }, AUDIENCE);
  await until(() => silent.kept.length > 0, "it is over");
  assert.equal(silent.kept[0]!.manifest, undefined);
});

test("a client that leaves meanwhile leaves the asking to the next one", async () => {
  let isGone = true;
  const { maker, shower, kept } = await rig({
    "tools/list": () =>
      isGone
        ? Promise.reject(new SupervisorError("UPSTREAM_RESET", "gone"))
        : answer("t", '{"tools":[]}'),
  });
  maker.begin(shower, AUDIENCE);
  await until(() => maker.wants(shower.live, AUDIENCE), "it is to be asked again");
  assert.equal(kept.length, 0);
  isGone = false;
  maker.begin(shower, AUDIENCE);
  await until(() => kept.length > 0, "it is kept");
});

test("while its clients wait for it a child is asked nothing", async () => {
  const { maker, shower, asked, kept, is } = await rig();
  is.busy = true;
  let looked = 0;
  maker.begin({ ...shower, isBusy: () => (looked++, is.busy) }, AUDIENCE);
  await until(() => looked > 2, "it has looked");
  assert.deepEqual(asked, []);
  is.busy = false;
  await until(() => kept.length > 0, "it is kept");
});

test("a generation is asked for so many kinds of clients, whatever they declare", async () => {
  const { maker, shower, kept, live } = await rig();
  const audience = (n: number): Audience => ({ ...AUDIENCE, capabilities: `{"n":${n}}` });
  for (let n = 0; n < 100; n += 1) maker.begin(shower, audience(n));
  await until(() => kept.length === 32, "they are kept");
  assert.deepEqual([maker.wants(live, audience(99)), kept.length], [false, 32]);
});

test("what is asked across a change of the token is kept for neither, and the child is asked anew", async () => {
  const { maker, shower, kept, live } = await rig({
    "tools/list": () => {
      Object.assign(live.startedAs, { token: "new" });
      return answer("t", "{}");
    },
  });
  let isOver = false;
  const ask: Shower["ask"] = async (method, params) => {
    const said = await shower.ask(method, params);
    isOver = method === "resources/templates/list";
    return said;
  };
  maker.begin({ ...shower, ask }, AUDIENCE);
  await until(() => isOver, "all is asked");
  assert.deepEqual([kept.length, maker.wants(live, AUDIENCE)], [0, true]);
  maker.begin(shower, AUDIENCE);
  await until(() => kept.length === 1, "it is kept");
});
