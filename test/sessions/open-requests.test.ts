import assert from "node:assert/strict";
import { test } from "node:test";
import { OpenRequests } from "../../src/sessions/open-requests.ts";

const ALICE = { user: "alice", keyId: "k1" };
const ALICE_TOO = { user: "alice", keyId: "k2" };
const BOB = { user: "bob", keyId: "k3" };

const tooMany = { code: "TOO_MANY_STREAMS", status: 429 };
const nothing = () => {};

test("streams beyond the user's share are refused, with whatever key; requests and other users are not", () => {
  const open = new OpenRequests({ streamsPerUser: 2 });
  open.add(ALICE, true, nothing);
  open.add(ALICE_TOO, true, nothing);
  for (const holder of [ALICE, ALICE_TOO])
    assert.throws(() => open.add(holder, true, nothing), tooMany);
  for (let i = 0; i < 10; i++) open.add(ALICE, false, nothing);
  open.add(BOB, true, nothing);
});

test("a stream that is over makes room for one, however often that is said", () => {
  const open = new OpenRequests({ streamsPerUser: 2 });
  const release = open.add(ALICE, true, nothing);
  open.add(ALICE, true, nothing);
  release();
  release();
  open.add(ALICE, true, nothing);
  assert.throws(() => open.add(ALICE, true, nothing), tooMany);
});

test("a release that comes late does not forget what the user has opened since", () => {
  const open = new OpenRequests({ streamsPerUser: 1 });
  const release = open.add(ALICE, true, nothing);
  release();
  const closed: string[] = [];
  open.add(ALICE, true, () => closed.push("second"));
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
    const release = open.add(holder, isStream, () => {
      closed.push(name);
      release();
    });
  }
  open.closeKey(ALICE);
  assert.deepEqual(closed.splice(0), ["alice's stream", "alice's request"]);
  open.closeKey({ user: "bob", keyId: "k1" });
  assert.deepEqual(closed, []);
  open.closeUser("alice");
  assert.deepEqual(closed.splice(0), ["alice's other key"]);
  open.closeAll();
  assert.deepEqual(closed, ["bob"]);
});
