import { SupervisorError } from "../errors.ts";

/** The kernel passes at most 128 KiB as one string of the environment, with the variable's name. */
const MAX_BYTES = 127 * 1024;

/** REQUEST_INVALID for what cannot be a token. */
export function requireToken(value: string): void {
  const problem = tokenProblem(value);
  if (problem !== undefined) throw new SupervisorError("REQUEST_INVALID", `the token ${problem}`);
}

function tokenProblem(value: string): string | undefined {
  if (value === "") return "is empty";
  if (Buffer.byteLength(value) > MAX_BYTES) return `is longer than ${MAX_BYTES / 1024} KiB`;
  if (value.includes("\0")) return "holds a NUL character, which no environment can carry";
  // Half of a surrogate pair would be replaced in UTF-8, and the child would get another token.
  return /\p{Cs}/u.test(value) ? "is not valid Unicode" : undefined;
}
