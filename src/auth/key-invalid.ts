import { SupervisorError } from "../errors.ts";

/** A client is told the same whatever is wrong with its secret; `why` is for the admin. */
export const keyInvalid = (why?: string): SupervisorError =>
  new SupervisorError("KEY_INVALID", "this access key is not valid", {
    details: why === undefined ? [] : [why],
  });

/** How the reason begins where the secret is a JWT. */
export const A_JWT = "the JWT";
