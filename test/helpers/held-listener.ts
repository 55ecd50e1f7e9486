import type { TestContext } from "node:test";
import { atEnd } from "./daemon.ts";

interface Handle {
  readonly fd: number;
  bind(address: string, port: number): number;
  getsockname(out: { port?: number }): number;
  close(): void;
}

interface TcpWrap {
  TCP: new (type: number) => Handle;
  constants: { SERVER: number };
}

/** A port that is held, and the socket of it for the daemons that listen there. */
export interface HeldListener {
  fd: number;
  port: number;
}

/**
 * A port that stays open while one daemon after the other listens on it, as a service manager holds
 * one: who connects in between waits. Nothing public of Node makes a socket that it does not accept
 * from by itself.
 */
export function holdListener(): HeldListener & { close: () => void } {
  const { TCP, constants } = (process as unknown as { binding: (name: string) => TcpWrap }).binding(
    "tcp_wrap",
  );
  const handle = new TCP(constants.SERVER);
  handle.bind("127.0.0.1", 0);
  const name: { port?: number } = {};
  handle.getsockname(name);
  return { fd: handle.fd, port: name.port!, close: () => handle.close() };
}

/** One until the end of the test. */
export function heldListener(t: TestContext): HeldListener {
  const { close, ...held } = holdListener();
  atEnd(t, close);
  return held;
}
