import { accessSync } from "node:fs";

/** Whether this account may do that (`constants.W_OK`) with what is there; false where nothing is. */
export function mayAccess(file: string, mode: number): boolean {
  try {
    accessSync(file, mode);
    return true;
  } catch {
    return false;
  }
}
