import { BlockList, isIP } from "node:net";
import { wordsOfIpv6 } from "../platform/address.ts";
import { isLoopbackAddress } from "../platform/loopback.ts";
import type { RequestHead } from "./exchange.ts";

/** As addresses are compared: an IPv4 client of a listener on `::` has no other address for that, and a zone names an interface of ours. */
export function plainAddress(address: string): string {
  // Asked for every request, and most are like this already.
  if (!address.includes(":")) return address;
  return address.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
}

/** What proxies write: an address, or one with its port, as some (IIS, Azure) do. Undefined for anything else. */
function readHop(text: string): string | undefined {
  const hop = text.trim();
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
  return isIP(bare) === 0 ? undefined : plainAddress(bare);
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [ip = "", bits] = range.split("/");
    const family = isIP(ip) === 4 ? "ipv4" : "ipv6";
    if (bits === undefined) list.addAddress(ip, family);
    else list.addSubnet(ip, Number(bits), family);
  }
  return list;
}

const has = (list: BlockList, address: string): boolean =>
  list.check(address, isIP(address) === 4 ? "ipv4" : "ipv6");

/** Programs on this machine, or whatever they speak for. An empty address is a unix socket's. */
export const isLocal = (address: string): boolean => address === "" || isLoopbackAddress(address);

/**
 * What limits count by: the address, and for IPv6 its /64, because whoever has one address of a /64
 * has all of them (RFC 6177).
 */
export function networkOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const words = wordsOfIpv6(address);
  if (words === undefined) return address;
  return `${words
    .slice(0, 4)
    .map((word) => word.toString(16))
    .join(":")}::/64`;
}

export interface ClientAddress {
  /** Whether a peer with this address speaks for others. */
  isProxy(address: string): boolean;
  /** Where the request comes from; empty on a unix socket. */
  of(req: RequestHead): string;
}

/**
 * Tells where requests come from, for limits and logs; never who sends them.
 *
 * `X-Forwarded-For` is believed from the addresses in `trustProxy` only, and read from the right:
 * each trusted proxy vouches for the one hop that it added, and the first address that is no trusted
 * proxy's is the client's. What stands left of it the client may have written itself. A header with
 * anything in the part that is read but addresses is not believed at all: the proxy is the client
 * then. `X-Forwarded-Proto`, `X-Forwarded-Host` and `Forwarded` are not read by anything: what URLs
 * begin with says `publicUrl`.
 */
export function createClientAddress(trustProxy: readonly string[]): ClientAddress {
  const proxies = listOf(trustProxy);
  const isProxy = (address: string): boolean =>
    trustProxy.length > 0 && isIP(address) !== 0 && has(proxies, address);
  return {
    isProxy: (address) => isProxy(plainAddress(address)),
    of(req) {
      const peer = plainAddress(req.socket.remoteAddress ?? "");
      // Node joins several headers of that name in their order, which is the order of the hops.
      const forwarded = req.headers["x-forwarded-for"];
      if (typeof forwarded !== "string" || !isProxy(peer)) return peer;
      let client = peer;
      for (const text of forwarded.split(",").toReversed()) {
        const hop = readHop(text);
        if (hop === undefined) return peer;
        client = hop;
        if (!isProxy(hop)) break;
      }
      return client;
    },
  };
}
