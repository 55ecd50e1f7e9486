import type { Writable } from "node:stream";

/** What is longer is not copied to go out in one write with what stands around it. */
export const ONE_WRITE_BYTES = 16 * 1024;

/**
 * Sends a piece between what frames it: as one string, which is one system call, unless it is large.
 * Of text every character is a byte. Returns whether more can be written now.
 */
export function writeFramed(
  socket: Writable,
  [before, piece, behind]: readonly [before: string, piece: string | Buffer, behind: string],
  sent?: (error?: Error | null) => void,
): boolean {
  if (piece.length <= ONE_WRITE_BYTES) {
    const text = typeof piece === "string" ? piece : piece.toString("latin1");
    return socket.write(before + text + behind, "latin1", sent);
  }
  socket.cork();
  if (before !== "") socket.write(before, "latin1");
  socket.write(piece, "latin1", behind === "" ? sent : undefined);
  if (behind !== "") socket.write(behind, "latin1", sent);
  socket.uncork();
  return !socket.writableNeedDrain;
}
