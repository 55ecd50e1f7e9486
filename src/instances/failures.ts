import { SupervisorError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import type { Ref } from "./instance-types.ts";

/** A failure that says whose instance it was. */
export function failureOf({ user, server }: Ref, code: ErrorCode, what: string): SupervisorError {
  return new SupervisorError(code, `${user}/${server}: ${what}`);
}

/** The message without the name and the subject, which the row of `status` says already. */
export function reasonOf({ user, server }: Ref, { message }: SupervisorError): string {
  return message.replace(`${user}/${server}: `, "").replace(/^the child /, "");
}
