import type { ChildProcess } from "node:child_process";
import type { ServerResponse } from "node:http";
import { Socket } from "node:net";
import type { Server, SocketConstructorOpts } from "node:net";

// What Node has and does not document, and nothing public leads to. A release of Node may change any
// of it: `npm run test:nodes` runs what holds it on each release line that is supported. The other
// file of this kind is body-request.ts.

/** What a socket, or a listening server, has in its heart. */
export interface Handle {
  readonly fd: number;
  readStop(): void;
  close(): void;
}

type Hearted = Readonly<Record<"_handle", Handle | null | undefined>>;

const heartOf = (owner: object): Handle | null | undefined => (owner as Hearted)["_handle"];

/** The handle of what is open. */
export const handleOf = (owner: object): Handle => heartOf(owner)!;

/** The file descriptor of a socket; undefined where it has none, or none any more. */
export function descriptorOf(socket: Socket): number | undefined {
  const fd = heartOf(socket)?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}

/** A socket on a handle; it reads nothing, not even the end, before somebody listens. */
export function socketOn(
  handle: Handle,
  directions: { readable: boolean; writable: boolean; allowHalfOpen?: boolean },
): Socket {
  const options = { handle, manualStart: true, ...directions };
  return new Socket(options as unknown as SocketConstructorOpts);
}

/** Sends a message and with it a bare handle, to a process that was forked, or from it to its parent. */
export function sendWithHandle(
  channel: { send?: (message: object, handle: never) => boolean },
  message: object,
  handle: Handle | undefined,
): boolean {
  return channel.send!(message, handle as never);
}

/** The pipes of a child, which are the caller's from here on: at the child's end Node neither reads nor closes them. */
export function takePipes(child: ChildProcess): ChildProcess["stdio"][number][] {
  const pipes = [...child.stdio];
  Object.assign(child, { stdin: null, stdout: null, stderr: null, stdio: [] });
  return pipes;
}

/** The answer that is under way on a connection; Node's own handler of `clientError` asks it, too. */
export const answerOn = (socket: object): ServerResponse | null | undefined =>
  (socket as Readonly<Record<"_httpMessage", ServerResponse | null | undefined>>)["_httpMessage"];

/** Whether the connection may serve another request after this answer. */
export function setKeptAlive(res: ServerResponse, isKept: boolean): void {
  res.shouldKeepAlive = isKept;
}

/** Whether the server of this connection takes no new ones any more. */
export function isStopping(socket: object | null): boolean {
  const { server } = (socket ?? {}) as Readonly<Record<"server", Server | undefined>>;
  return server?.listening === false;
}
