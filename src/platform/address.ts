/** Which addresses may be connected to. Decides on the address after the name is resolved, so that a name cannot change its mind. */
import { lookup as systemLookup } from "node:dns";
import type { LookupAddress, LookupOptions } from "node:dns";
import { BlockList, isIP } from "node:net";
import { SupervisorError } from "../errors.ts";

/**
 * Link-local addresses and the metadata services of clouds: what answers there hands out the
 * machine's own credentials, so no configuration makes them a place for an MCP server.
 */
const NEVER = new BlockList();
NEVER.addSubnet("169.254.0.0", 16, "ipv4");
NEVER.addSubnet("fe80::", 10, "ipv6");
NEVER.addAddress("fd00:ec2::254", "ipv6");
NEVER.addAddress("100.100.100.200", "ipv4");

/**
 * What only this machine or the network around it can mean: special-purpose addresses that are not
 * globally reachable (the IANA registries of RFC 6890), and multicast.
 */
const PRIVATE = new BlockList();
for (const [network, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const)
  PRIVATE.addSubnet(network, bits, "ipv4");
for (const [network, bits] of [
  // With those that carry an IPv4 address in its old form.
  ["::", 96],
  ["::ffff:0:0:0", 96],
  ["64:ff9b:1::", 48],
  ["100::", 64],
  // Teredo carries the address of a machine behind a NAT.
  ["2001::", 32],
  ["2001:db8::", 32],
  ["fc00::", 7],
  ["fe80::", 10],
  ["fec0::", 10],
  ["ff00::", 8],
] as const)
  PRIVATE.addSubnet(network, bits, "ipv6");

/** The four bytes of an IPv4 address that an IPv6 one carries: 6to4 (RFC 3056) or NAT64 (RFC 6052). */
function embeddedIpv4(address: string): string | undefined {
  const words = wordsOfIpv6(address);
  if (words === undefined) return undefined;
  const at = words[0] === 0x2002 ? 1 : words[0] === 0x64 && words[1] === 0xff9b ? 6 : undefined;
  if (at === undefined) return undefined;
  const [high, low] = [words[at]!, words[at + 1]!];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

const wordsOf = (part: string): number[] =>
  part === "" ? [] : part.split(":").map((word) => Number.parseInt(word, 16));

/** The eight words of an IPv6 address, in whatever form it is written; undefined for what is none. */
export function wordsOfIpv6(address: string): number[] | undefined {
  const [head = "", tail] = address.split("::");
  const [front, back] = [wordsOf(head), wordsOf(tail ?? "")];
  const words =
    tail === undefined
      ? front
      : [...front, ...Array.from({ length: 8 - front.length - back.length }, () => 0), ...back];
  return words.length === 8 && words.every((word) => word >= 0 && word <= 0xffff)
    ? words
    : undefined;
}

function isIn(list: BlockList, address: string): boolean {
  const family = isIP(address);
  if (family === 0) return false;
  if (list.check(address, family === 4 ? "ipv4" : "ipv6")) return true;
  const inner = family === 6 ? embeddedIpv4(address) : undefined;
  return inner !== undefined && list.check(inner, "ipv4");
}

/** True for addresses that are never connected to, whoever configured them. */
export const isForbidden = (address: string): boolean => isIn(NEVER, address);

/** True for addresses of this machine or of the network around it. */
export const isPrivate = (address: string): boolean => isIn(PRIVATE, address);

/** Which addresses may be called: `any` but those that never are, or `public` ones alone. */
export type Reach = "any" | "public";

function refusalOf(address: string, reach: Reach): SupervisorError | undefined {
  if (isForbidden(address))
    return new SupervisorError(
      "UPSTREAM_REFUSED",
      "the server's address is a link-local or metadata address, which is never called",
    );
  if (reach === "any" || !isPrivate(address)) return undefined;
  return new SupervisorError(
    "UPSTREAM_REFUSED",
    'the server\'s address is a private one, and with "allowPrivate": false a URL that was set over TCP may lead to public ones only',
  );
}

/** The host of a URL as a connection wants it: an IPv6 address without its brackets. */
export const hostIn = ({ hostname }: Pick<URL, "hostname">): string =>
  hostname.replace(/^\[|\]$/g, "");

/** The port that a URL leads to, told or not. */
export const portIn = ({ port, protocol }: Pick<URL, "port" | "protocol">): number =>
  Number(port) || (protocol === "https:" ? 443 : 80);

/** Throws UPSTREAM_REFUSED where the host is written as a forbidden address: no lookup happens for those. */
export function requireAllowedHost(hostname: string, reach: Reach = "any"): void {
  const refusal = refusalOf(hostIn({ hostname }), reach);
  if (refusal !== undefined) throw refusal;
}

type LookupCallback = (
  error: Error | null,
  address: string | LookupAddress[],
  family?: number,
) => void;

type Lookup = (hostname: string, options: LookupOptions, callback: LookupCallback) => void;

/** The system's lookup, refusing names with any forbidden address; for the `lookup` option of a socket. */
export const guardedLookup: Lookup = lookupFor("any");

/** As `guardedLookup`, for what may be reached so far. */
export function lookupFor(reach: Reach): Lookup {
  return (hostname, options, callback) => guarded(reach, hostname, options, callback);
}

function guarded(
  reach: Reach,
  hostname: string,
  options: LookupOptions,
  callback: LookupCallback,
): void {
  systemLookup(
    hostname,
    options,
    (error: Error | null, found: string | LookupAddress[], family?: number) => {
      if (error !== null) return callback(error, found, family);
      const addresses = typeof found === "string" ? [found] : found.map((entry) => entry.address);
      const refusals = addresses.flatMap((address) => refusalOf(address, reach) ?? []);
      callback(refusals[0] ?? null, found, family);
    },
  );
}
