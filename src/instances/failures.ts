import { SupervisorError } from "../errors.ts";
import type { ErrorCode, ErrorOptions } from "../errors.ts";
import type { Ref } from "./instance-types.ts";

/** A failure that says whose instance it was. */
export function failureOf(
  { user, server }: Ref,
  code: ErrorCode,
  what: string,
  options?: ErrorOptions,
): SupervisorError {
  return new SupervisorError(code, `${user}/${server}: ${what}`, options);
}

/** The message without the name and the subject, which the row of `status` says already. */
export function reasonOf({ user, server }: Ref, { message }: SupervisorError): string {
  return message.replace(`${user}/${server}: `, "").replace(/^the child /, "");
}

/** The message without the name, said of a child that is to come. */
export function asNext(ref: Ref, failure: SupervisorError): string {
  return failure.message
    .replace(`${ref.user}/${ref.server}: `, "")
    .replace(/^the child /, "the next one ");
}
