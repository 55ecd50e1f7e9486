import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { Connections } from "../../src/http/connections.ts";

/** As much of a socket as counting needs: an address, and an end that is told later, as a real one's is. */
class Peer extends EventEmitter {
  readonly remoteAddress: string;
  isEnded = false;

  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }

  destroy(): void {
    this.isEnded = true;
  }

  leave(): void {
    this.emit("close");
  }
}

function rig(most = 10_000) {
  const clock = { now: 0 };
  const connections = new Connections((address) => address === "192.0.2.80", {
    now: () => clock.now,
    most,
  });
  return {
    clock,
    connections,
    knock: (address: string): Peer => {
      const peer = new Peer(address);
      connections.add(peer as unknown as Socket);
      return peer;
    },
  };
}

const times = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));
const isOpen = (peer: Peer) => !peer.isEnded;

test("of more than 32 strangers from one address the oldest gives way, once it has had its time", () => {
  const { knock, clock } = rig();
  const crowd = times(40, () => knock("203.0.113.9"));
  assert.ok(crowd.every(isOpen), "all came at once, so any of them may be about to show a key");
  clock.now = 5_000;
  const newcomer = knock("203.0.113.9");
  assert.deepEqual(
    crowd.map(isOpen),
    crowd.map((_, i) => i > 0),
  );
  assert.ok(isOpen(newcomer));
  assert.ok(isOpen(knock("203.0.113.10")), "another address is another's");
  assert.ok(isOpen(crowd[1]!));
});

test("who has shown a key is no stranger and stays", () => {
  const { knock, clock, connections } = rig();
  const known = times(100, () => knock("203.0.113.9"));
  for (const peer of known) connections.vouch(peer);
  clock.now = 60_000;
  const strangers = times(32, () => knock("203.0.113.9"));
  clock.now = 120_000;
  knock("203.0.113.9");
  assert.ok(known.every(isOpen));
  assert.equal(strangers.filter(isOpen).length, 31);
});

test("an address has 1,024 places: a stranger makes room for a newcomer, one with a key does not", () => {
  const { knock, connections } = rig();
  const crowd = times(1024, () => knock("2001:db8::1"));
  for (const peer of crowd.slice(1)) connections.vouch(peer);
  assert.ok(isOpen(knock("2001:db8::2")), "in the place of the one stranger");
  assert.equal(isOpen(crowd[0]!), false);
  const inPlace = knock("2001:db8::3");
  connections.vouch(inPlace);
  assert.ok(isOpen(inPlace));
  assert.equal(isOpen(knock("2001:db8::4")), false);
  assert.ok(isOpen(knock("2001:db8:0:1::1")), "another /64");
  inPlace.leave();
  assert.ok(isOpen(knock("2001:db8::5")), "a place that was left is free");
});

test("this machine and trusted proxies speak for many", () => {
  const { knock, clock } = rig();
  for (const address of ["127.0.0.1", "192.0.2.80"]) {
    const crowd = times(2_000, () => knock(address));
    clock.now += 60_000;
    knock(address);
    assert.ok(crowd.every(isOpen), address);
  }
});

test("the bound over all holds for everybody, and strangers make room first", () => {
  const { knock, connections } = rig(10);
  const crowd = times(10, (i) => knock(`203.0.113.${i}`));
  for (const peer of crowd.slice(0, 9)) connections.vouch(peer);
  const newcomer = knock("127.0.0.1");
  assert.ok(isOpen(newcomer));
  assert.deepEqual(
    crowd.filter((peer) => !isOpen(peer)),
    [crowd[9]],
  );
  connections.vouch(newcomer);
  assert.equal(isOpen(knock("127.0.0.1")), false);
  assert.equal(connections.open.size, 10);
});

test("nothing is kept of those who have left", () => {
  const { knock, connections, clock } = rig();
  for (const peer of times(500, (i) => knock(`203.0.113.${i % 250}`))) peer.leave();
  assert.equal(connections.open.size, 0);
  clock.now = 60_000;
  const crowd = times(32, () => knock("203.0.113.1"));
  clock.now = 120_000;
  assert.ok(crowd.every(isOpen));
});
