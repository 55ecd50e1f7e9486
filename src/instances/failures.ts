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
export const reasonOf = (ref: Ref, failure: SupervisorError): string => saidOf("", ref, failure);

/** The message without the name, said of a child that is to come. */
export const asNext = (ref: Ref, failure: SupervisorError): string =>
  saidOf("the next one ", ref, failure);

/** A predicate of the child, also where the failure is not the child's own: a port that is taken, a token that is wanting. */
function saidOf(subject: string, { user, server }: Ref, { message }: SupervisorError): string {
  const what = message.replace(`${user}/${server}: `, "");
  const predicate = /^the child (.*)$/s.exec(what)?.[1];
  return subject + (predicate ?? `could not be started: ${what}`);
}
