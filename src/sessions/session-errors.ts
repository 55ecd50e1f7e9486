import { SupervisorError } from "../errors.ts";
import type { Ref } from "../instances/supervisor.ts";

export const noSession = (): SupervisorError =>
  new SupervisorError("SESSION_NOT_FOUND", "no such session");

export const sessionLost = ({ user, server }: Ref): SupervisorError =>
  new SupervisorError(
    "SESSION_LOST",
    `${user}/${server}: the server that held this session is gone; connect again`,
  );

/** Nobody came back for the answer, and the server was told that nobody wants it. */
export const clientGone = ({ user, server }: Ref): SupervisorError =>
  new SupervisorError(
    "INSTANCE_EXITED",
    `${user}/${server}: the call was cancelled, because its client was away for longer than resumeWindow`,
  );

/** The client comes back for an answer that is not to be had. */
export const answerGone = ({ user, server }: Ref): SupervisorError =>
  new SupervisorError(
    "INSTANCE_EXITED",
    `${user}/${server}: the answer is not there any more: the daemon was restarted, or too much was said since`,
    { data: { mayHaveHappened: true } },
  );

/** Over HTTP with SSE, for who goes on with a session that nobody knows. */
export const unknownClient = (): SupervisorError =>
  new SupervisorError(
    "SESSION_NOT_FOUND",
    "no session of this client is known: connect anew, and begin with initialize",
  );

/** Of any session over Streamable HTTP: one for each would keep the stack of its beginning. */
export const ENDED_BY_SERVER = new SupervisorError(
  "UPSTREAM_RESET",
  "the server ended the session",
);
