import { BlockList, isIP } from "node:net";

/** As they stand in a URL. */
export const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"];

const ORIGIN = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/;

const ADDRESSES = new BlockList();
ADDRESSES.addSubnet("127.0.0.0", 8, "ipv4");
ADDRESSES.addAddress("::1", "ipv6");

/** Whether the address is one of this machine's loopback; false for what is no address. */
export function isLoopbackAddress(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && ADDRESSES.check(address, family === 4 ? "ipv4" : "ipv6");
}

/** Whether a listener on this host, an address or a name, can be reached from this machine only. */
export const isLoopbackHost = (host: string): boolean =>
  host === "localhost" || isLoopbackAddress(host);

/** Whether pages of this origin (in lower case) come from this machine, on whatever port. */
export const isLoopbackOrigin = (origin: string): boolean => ORIGIN.test(origin);
