import { endianness } from "node:os";

const MAPPED = "0000:0000:0000:0000:0000:ffff:";

// The kernel prints each 32-bit word of an address in the machine's own byte order.
function bytesOf(hex: string): number[] {
  const bytes: number[] = [];
  for (let word = 0; word < hex.length; word += 8) {
    const four = [0, 2, 4, 6].map((at) => Number.parseInt(hex.slice(word + at, word + at + 2), 16));
    bytes.push(...(endianness() === "LE" ? four.toReversed() : four));
  }
  return bytes;
}

/** An address as it stands in /proc/net/tcp and tcp6, as text: `127.0.0.1`, `::1`, `::`, else all eight groups; an IPv4 address in IPv6 clothes is given as IPv4. */
export function readKernelAddress(hex: string): string {
  const bytes = bytesOf(hex);
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.every((byte) => byte === 0)) return "::";
  if (bytes.slice(0, 15).every((byte) => byte === 0) && bytes[15] === 1) return "::1";
  const groups: string[] = [];
  for (let at = 0; at < 16; at += 2)
    groups.push(((bytes[at]! << 8) | bytes[at + 1]!).toString(16).padStart(4, "0"));
  const text = groups.join(":");
  return text.startsWith(MAPPED) ? bytes.slice(12).join(".") : text;
}
