import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { wordsOfIpv6 } from "../platform/address.ts";
import { readKernelAddress } from "../platform/kernel-address.ts";
import { plainAddress } from "./client-address.ts";

const TABLES = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];

/** An established connection whose retransmission timer runs: both ports, the peer's address, how often it has sent again. */
const UNANSWERED =
  /: [\dA-F]+:([\dA-F]{4}) ([\dA-F]+):([\dA-F]{4}) 01 [\dA-F:]+ 01:[\dA-F]+ ([\dA-F]{8}) /g;

/** One spelling for one address: Node shortens IPv6, the kernel does not. */
const canonical = (address: string): string => wordsOfIpv6(address)?.join(":") ?? address;

const nameOf = (localPort: number, address: string, port: number): string =>
  `${localPort} ${canonical(address)} ${port}`;

/** What the kernel has sent so often, and nobody has acknowledged. */
async function unanswered(times: number): Promise<Set<string>> {
  const found = new Set<string>();
  for (const table of TABLES) {
    // A kernel without IPv6 has no tcp6, and another system neither.
    const text = await readFile(table, "latin1").catch(() => "");
    for (const [, localPort, address, port, count] of text.matchAll(UNANSWERED)) {
      if (Number.parseInt(count!, 16) < times) continue;
      const ports = [localPort!, port!].map((hex) => Number.parseInt(hex, 16));
      found.add(nameOf(ports[0]!, readKernelAddress(address!), ports[1]!));
    }
  }
  return found;
}

/**
 * Ends connections to clients that are gone without a word: a machine that was switched off, a cable,
 * a NAT that forgot. A heartbeat to such a client stays unacknowledged, and while it does, TCP
 * keepalive does not ask and the kernel tries again for a quarter of an hour (tcp_retries2). Node has
 * no TCP_USER_TIMEOUT, but the kernel tells how often it has tried.
 */
export async function endVanished(sockets: Iterable<Socket>, retries: number): Promise<void> {
  const names = await unanswered(retries);
  if (names.size === 0) return;
  for (const socket of sockets) {
    const { localPort, remoteAddress, remotePort } = socket;
    if (localPort === undefined || remoteAddress === undefined || remotePort === undefined)
      continue;
    if (names.has(nameOf(localPort, plainAddress(remoteAddress), remotePort))) socket.destroy();
  }
}
