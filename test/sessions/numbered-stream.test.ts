import assert from "node:assert/strict";
import { test } from "node:test";
import {
  idsAskedOn,
  isLastNumber,
  ownStreamName,
  postStreamName,
  readEventId,
} from "../../src/sessions/event-id.ts";
import { EventLog, EventLogs } from "../../src/sessions/event-log.ts";
import { NumberedStream } from "../../src/sessions/numbered-stream.ts";
import type { Outlet } from "../../src/sessions/outlet.ts";

const MIB = 1024 * 1024;

/** A client's end: all that it got, and whether it was ended. */
function client() {
  const got = { text: "", isEnded: false };
  const outlet: Outlet = {
    unread: 0,
    part: (bytes) => (got.text += bytes.toString("latin1")).length > 0,
    event: (idLine, text) => (got.text += idLine + text).length > 0,
    onceDrained() {},
    end: () => void (got.isEnded = true),
  };
  const data = (): string[] => [...got.text.matchAll(/^data: (.*)$/gm)].map(([, one]) => one!);
  const ids = (): number[] => [...got.text.matchAll(/^id: .*\.(\d+)$/gm)].map(([, n]) => Number(n));
  return { got, outlet, data, ids };
}

const eventOf = (text: string): Buffer => Buffer.from(`data: ${text}\n\n`);
const back = (after: number, texts: string[] = []) => ({
  after,
  makeGood: () => texts,
  missed: (id: string) => `{"id":${id},"error":{}}`,
});
const news = '{"method":"notifications/tools/list_changed"}';
const answer = (id: string) => ({ id, method: undefined });

test("a client that comes back gets what came after the last that it has, wherever it was cut", () => {
  const log = new EventLog<NumberedStream>(new EventLogs(), 256);
  const stream = new NumberedStream({ name: "s", log });
  let reader = client();
  stream.begin(reader.outlet);
  const all: string[] = [];
  const read = (): void => void all.push(...reader.data());
  for (let n = 1; n <= 200; n++) {
    stream.part(Buffer.from(": a comment\n\n"), true);
    stream.part(eventOf(String(n)), true, []);
    if (n % 7 === 0) {
      read();
      stream.leave(reader.outlet);
    }
    if (n % 7 !== 3) continue;
    if (stream.isAttached) read();
    const after = all.length;
    reader = client();
    stream.goOn(reader.outlet, back(after));
  }
  read();
  assert.deepEqual(
    all,
    Array.from({ length: 200 }, (_, i) => String(i + 1)),
  );
});

test("an event that comes in parts has its id at the end, and comes whole to who came back in the middle", () => {
  const stream = new NumberedStream({
    name: "s",
    log: new EventLog<NumberedStream>(new EventLogs(), 256),
  });
  const [first, second] = [client(), client()];
  stream.begin(first.outlet);
  stream.part(Buffer.from("data: one, "), false);
  stream.goOn(second.outlet, back(0));
  stream.part(Buffer.from("two\r\n\r\n"), true, []);
  assert.equal(first.got.text, "data: one, ");
  assert.equal(first.got.isEnded, true);
  assert.equal(second.got.text, "id: s.1\ndata: one, two\r\n\r\n");
  stream.part(Buffer.from("data: 3"), false);
  stream.part(Buffer.from("\r\n\r\n"), true, []);
  assert.ok(second.got.text.endsWith("data: 3\r\nid: s.2\n\r\n"));
});

test("the last events are kept, by number and by size, of a session and of all", () => {
  const logs = new EventLogs(3 * MIB);
  const many = new NumberedStream({ name: "many", log: new EventLog<NumberedStream>(logs, 10) });
  for (let n = 1; n <= 30; n++) many.part(eventOf(String(n)), true, []);
  const reader = client();
  many.goOn(reader.outlet, back(0));
  assert.deepEqual(reader.ids(), [21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);

  const kib100 = "x".repeat(100 * 1024);
  const streams = Array.from({ length: 5 }, (_, i) => {
    const stream = new NumberedStream({
      name: `${i}`,
      log: new EventLog<NumberedStream>(logs, 256),
    });
    for (let n = 0; n < 20; n++) stream.part(eventOf(kib100), true, []);
    assert.ok(logs.bytes <= 3 * MIB);
    return stream;
  });
  const kept = streams.map((stream) => {
    const one = client();
    stream.goOn(one.outlet, back(0));
    return one.ids().length;
  });
  assert.deepEqual(kept, [0, 0, 9, 10, 10]);
});

test("an event that takes the place of an older one in the log comes back as it went out", () => {
  const log = new EventLog<NumberedStream>(new EventLogs(), 10);
  const stream = new NumberedStream({ name: "s", log });
  const sizes = [1, 40_000, 3, 700, 699, 100_000, 2, 900];
  const texts = Array.from({ length: 60 }, (_, n) => `${n} ä€ ${"x".repeat(sizes[n % 8]!)}`);
  for (const text of texts) stream.part(eventOf(text), true, []);
  const reader = client();
  stream.goOn(reader.outlet, back(50));
  const asRead = texts.slice(50).map((text) => Buffer.from(text).toString("latin1"));
  assert.deepEqual(reader.data(), asRead);
});

test("who has missed more than is kept is told what can be made good, once, and which answers are lost", () => {
  const log = new EventLog<NumberedStream>(new EventLogs(), 10);
  const stream = new NumberedStream({ name: "s", log });
  const first = client();
  stream.begin(first.outlet);
  stream.part(eventOf("0"), true, []);
  stream.leave(first.outlet);
  stream.part(eventOf('{"jsonrpc":"2.0","id":7,"result":{}}'), true, [answer("7")]);
  for (let n = 0; n < 20; n++)
    stream.part(eventOf(news), true, [
      { id: undefined, method: "notifications/tools/list_changed" },
    ]);
  const second = client();
  stream.goOn(second.outlet, back(1, [news]));
  assert.deepEqual(second.data(), [news, '{"id":7,"error":{}}']);
  const third = client();
  stream.goOn(third.outlet, back(second.ids().at(-1)!, [news]));
  assert.deepEqual(third.data(), []);
});

test("an event that is too long to be kept is passed on, and its answer made good where it did not arrive", () => {
  const stream = new NumberedStream({
    name: "s",
    log: new EventLog<NumberedStream>(new EventLogs(), 10),
  });
  const [first, second] = [client(), client()];
  stream.begin(first.outlet);
  stream.part(eventOf("x".repeat(300 * 1024)), true, [answer("1")]);
  assert.equal(first.ids().length, 1);
  stream.goOn(second.outlet, back(0));
  assert.deepEqual(second.data(), ['{"id":1,"error":{}}']);
});

test("what waits for a stream goes out on the first that comes, and belongs to that", () => {
  const log = new EventLog<NumberedStream>(new EventLogs(), 10);
  log.await([eventOf("early")]);
  const [one, other] = [client(), client()];
  const stream = new NumberedStream({ name: "s", log });
  stream.begin(one.outlet);
  stream.catchUp(back(0));
  new NumberedStream({ name: "t", log }).catchUp(back(0));
  stream.goOn(other.outlet, back(0));
  assert.deepEqual([one.data(), other.data()], [["early"], ["early"]]);
});

test("the id of a POST's stream says what was asked, and whether it is answered", () => {
  const log = new EventLog<NumberedStream>(new EventLogs(), 10);
  const name = postStreamName(['"a b"', "2"])!;
  const stream = new NumberedStream({ name, log, asked: ['"a b"', "2"] });
  const reader = client();
  stream.begin(reader.outlet);
  for (const id of ["2", '"a b"']) {
    stream.part(eventOf("progress"), true, []);
    stream.part(eventOf(id), true, [answer(id)]);
  }
  assert.deepEqual(reader.ids().map(isLastNumber), [false, false, false, true]);
  const read = readEventId(stream.idOf(reader.ids().at(-1)!))!;
  assert.deepEqual(read, { stream: name, n: reader.ids().at(-1) });
  assert.deepEqual(idsAskedOn(read.stream), ['"a b"', "2"]);
  assert.equal(idsAskedOn(ownStreamName()), undefined);
  const longest = postStreamName([`"${"x".repeat(62)}"`])!;
  assert.ok(`${longest}.999999999999`.length <= 128);
  assert.equal(postStreamName([`"${"x".repeat(63)}"`]), undefined);
  for (const strange of ["", "1", "a.b", "p.1", "x y.1", "x".repeat(300)])
    assert.equal(idsAskedOn(readEventId(strange)?.stream ?? ""), undefined);
});
