import assert from "node:assert/strict";
import { test } from "node:test";
import { OpenRequests } from "../../src/sessions/open-requests.ts";

const ALICE = { user: "alice", issuer: "key", credentialId: "k1" };
const ALICE_TOO = { user: "alice", issuer: "key", credentialId: "k2" };
const BOB = { user: "bob", issuer: "key", credentialId: "k3" };

const tooMany = { code: "TOO_MANY_STREAMS", status: 429 };
const nothing = () => {};

const JUST_NOW = () => performance.now();
const agoMs = (ms: number) => () => performance.now() - ms;
const NEVER = () => undefined;

test("streams beyond the user's share are refused, with whatever key, where all are in use; requests and other users are not", () => {
  const open = new OpenRequests({ streamsPerUser: 2 });
  open.addStream(ALICE, nothing, JUST_NOW);
  open.addStream(ALICE_TOO, nothing, JUST_NOW);
  for (const holder of [ALICE, ALICE_TOO])
    assert.throws(() => open.addStream(holder, nothing, JUST_NOW), tooMany);
  for (let i = 0; i < 10; i++) open.add(ALICE, nothing);
  open.addStream(BOB, nothing, JUST_NOW);
});

test("of the key with the most streams gives way what never carried a message, else what was silent the longest and over a minute", () => {
  const open = new OpenRequests({ streamsPerUser: 4 });
  const closed: string[] = [];
  const add = (name: string, holder: typeof ALICE, at: () => number | undefined) =>
    open.addStream(holder, () => closed.push(name), at);
  add("the other key's", ALICE_TOO, NEVER);
  add("busy", ALICE, JUST_NOW);
  add("silent", ALICE, agoMs(90_000));
  add("silent for longer", ALICE, agoMs(120_000));
  add("fresh", ALICE, NEVER);
  assert.deepEqual(closed.splice(0), ["silent for longer"]);
  add("fresher", ALICE, NEVER);
  assert.deepEqual(closed.splice(0), ["fresh"]);
  add("in use", ALICE, JUST_NOW);
  assert.deepEqual(closed.splice(0), ["fresher"]);
  add("in use too", ALICE, JUST_NOW);
  assert.deepEqual(closed.splice(0), ["silent"]);
  assert.throws(() => add("one more", ALICE_TOO, NEVER), tooMany);
  assert.equal(open.streamCount, 4);
});

test("a stream that is over makes room for one, however often that is said", () => {
  const open = new OpenRequests({ streamsPerUser: 2 });
  const release = open.addStream(ALICE, nothing, JUST_NOW);
  open.addStream(ALICE, nothing, JUST_NOW);
  release();
  release();
  open.addStream(ALICE, nothing, JUST_NOW);
  assert.throws(() => open.addStream(ALICE, nothing, JUST_NOW), tooMany);
});

test("a release that comes late does not forget what the user has opened since", () => {
  const open = new OpenRequests({ streamsPerUser: 1 });
  const release = open.addStream(ALICE, nothing, JUST_NOW);
  release();
  const closed: string[] = [];
  open.add(ALICE, () => closed.push("second"));
  release();
  open.closeUser("alice");
  assert.deepEqual(closed, ["second"]);
});

test("what was opened with a key, or by a user, is closed at once and nothing else is", () => {
  const open = new OpenRequests({ streamsPerUser: 9 });
  const closed: string[] = [];
  for (const [name, holder, isStream] of [
    ["alice's stream", ALICE, true],
    ["alice's request", ALICE, false],
    ["alice's other key", ALICE_TOO, true],
    ["bob", BOB, true],
  ] as const) {
    // As a response does: closing it is what says that it is over.
    const close = () => {
      closed.push(name);
      release();
    };
    const release = isStream ? open.addStream(holder, close, NEVER) : open.add(holder, close);
  }
  open.closeCredential(ALICE);
  assert.deepEqual(closed.splice(0), ["alice's stream", "alice's request"]);
  open.closeCredential({ user: "bob", issuer: "key", credentialId: "k1" });
  assert.deepEqual(closed, []);
  open.closeUser("alice");
  assert.deepEqual(closed.splice(0), ["alice's other key"]);
  open.closeAll();
  assert.deepEqual(closed, ["bob"]);
});
