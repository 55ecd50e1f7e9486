// Loaded into a daemon before anything else (`--import`): what Node does for it throws wherever a
// mark passes through. That stands for a mistake of ours at a place where nobody knows of one.
import { ServerResponse } from "node:http";
import { Socket } from "node:net";

export const MARKS = {
  /** In a header of an answer to a client. */
  head: "throws-in-head",
  /** In what is written to a client, or to a child. */
  write: "throws-in-write",
  /** In bytes that are cut into lines or events. */
  cut: "throws-in-cut",
  /** In a subscription of which a session's next child is told, under an id of the gateway's. */
  seat: "throws-in-seat",
} as const;

const failAt = (mark: string): never => {
  throw new TypeError(`a mistake at ${mark}`);
};

/* oxlint-disable typescript/unbound-method -- each is called on what it was taken for */
const { writeHead } = ServerResponse.prototype;
ServerResponse.prototype.writeHead = function headed(this: ServerResponse, ...args: unknown[]) {
  if (JSON.stringify(args).includes(MARKS.head)) failAt(MARKS.head);
  return Reflect.apply(writeHead, this, args);
} as typeof writeHead;

const { write } = Socket.prototype;
Socket.prototype.write = function written(this: Socket, ...args: unknown[]) {
  const [chunk] = args;
  const isMarked = typeof chunk === "string" || Buffer.isBuffer(chunk);
  if (isMarked && chunk.includes(MARKS.write)) failAt(MARKS.write);
  return Reflect.apply(write, this, args) as boolean;
};

const { indexOf, includes } = Buffer.prototype;
Buffer.prototype.indexOf = function found(this: Buffer, ...args: unknown[]) {
  if (typeof args[0] === "number" && Reflect.apply(includes, this, [MARKS.cut])) failAt(MARKS.cut);
  return Reflect.apply(indexOf, this, args) as number;
};

const { from } = Buffer;
Buffer.from = ((...args: unknown[]) => {
  const [text] = args;
  const isOurs = typeof text === "string" && text.includes('"id":"mcp-supervisor ');
  if (isOurs && text.includes(MARKS.seat)) failAt(MARKS.seat);
  return Reflect.apply(from, Buffer, args) as Buffer;
}) as typeof from;
/* oxlint-enable typescript/unbound-method */
