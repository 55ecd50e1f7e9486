import { SupervisorError } from "../errors.ts";

/**
 * UPSTREAM_INVALID: the server does not know the session that a message belongs to, and has not taken
 * the message (404 in Streamable HTTP, "Session Management"; some servers say 400).
 */
export class SessionForgotten extends SupervisorError {
  readonly said: 400 | 404;

  constructor(status: 400 | 404, what: string) {
    super("UPSTREAM_INVALID", what);
    this.said = status;
  }
}
