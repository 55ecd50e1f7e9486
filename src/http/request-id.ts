import { randomBytes } from "node:crypto";

const life = randomBytes(4).toString("hex");
let count = 0;

/** An id that names one request in answers and logs; unique over restarts, not secret, always as long. */
export function newRequestId(): string {
  count += 1;
  return `${life}-${count.toString(36).padStart(7, "0")}`;
}
