import { constants } from "node:os";

/** Of `struct seccomp_data`, which a filter reads: where the words lie (seccomp(2)). */
const NUMBER = 0;
const ARCHITECTURE = 4;
const FIRST_ARGUMENT = 16;

/** The instructions of classic BPF that it takes (linux/bpf_common.h). */
const LOAD = 0x20;
const JUMP_IF_EQUAL = 0x15;
const JUMP_IF_AT_LEAST = 0x35;
const JUMP_IF_ANY = 0x45;
const RETURN = 0x06;

const ALLOW = 0x7fff_0000;
const refuse = (errno: number): number => 0x0005_0000 | errno;

const CLONE_NEWUSER = 0x1000_0000;
/** Its flags lie in memory, where no filter can look. */
const CLONE3 = 435;
/** x32 has numbers of its own for all calls. */
const X32 = 0x4000_0000;

/** What a system call is known by to the kernel: its AUDIT_ARCH, and the numbers of `clone` and `unshare`. */
interface Calls {
  audit: number;
  clone: number;
  unshare: number;
}

/** All that a processor of this kind may run, programs of 32 bits too. */
const CALLS: Partial<Record<NodeJS.Architecture, readonly Calls[]>> = {
  x64: [
    { audit: 0xc000_003e, clone: 56, unshare: 272 },
    { audit: 0x4000_0003, clone: 120, unshare: 310 },
  ],
  arm64: [
    { audit: 0xc000_00b7, clone: 220, unshare: 97 },
    { audit: 0x4000_0028, clone: 120, unshare: 337 },
  ],
};

/**
 * A seccomp filter, as bubblewrap reads it, under which no process can make a user namespace, in
 * which it could mount file systems of its own; undefined for a processor whose calls are not known
 * here. `clone3` is answered as by a kernel that lacks it: programs then take `clone`.
 */
export function namespaceFilter(
  architecture: NodeJS.Architecture = process.arch,
): Buffer | undefined {
  const { EPERM, ENOSYS } = constants.errno;
  const calls = CALLS[architecture];
  if (calls === undefined) return undefined;
  const filter = calls.flatMap(({ audit, clone, unshare }) => [
    // To the next architecture.
    instruction(JUMP_IF_EQUAL, audit, 0, 11),
    instruction(LOAD, NUMBER),
    instruction(JUMP_IF_AT_LEAST, X32, 8),
    instruction(JUMP_IF_EQUAL, CLONE3, 7),
    instruction(JUMP_IF_EQUAL, clone, 2),
    instruction(JUMP_IF_EQUAL, unshare, 1),
    instruction(RETURN, ALLOW),
    instruction(LOAD, FIRST_ARGUMENT),
    instruction(JUMP_IF_ANY, CLONE_NEWUSER, 1),
    instruction(RETURN, ALLOW),
    instruction(RETURN, refuse(EPERM)),
    instruction(RETURN, refuse(ENOSYS)),
  ]);
  return Buffer.concat([
    instruction(LOAD, ARCHITECTURE),
    ...filter,
    instruction(RETURN, refuse(ENOSYS)),
  ]);
}

/** One of the form `struct sock_filter`, on processors that write the low byte first. */
function instruction(code: number, value: number, ifTrue = 0, ifFalse = 0): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(code, 0);
  bytes.writeUInt8(ifTrue, 2);
  bytes.writeUInt8(ifFalse, 3);
  bytes.writeUInt32LE(value, 4);
  return bytes;
}
