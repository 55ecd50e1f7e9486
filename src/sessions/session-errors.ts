import { SupervisorError } from "../errors.ts";
import type { Ref } from "../instances/supervisor.ts";

export const noSession = (): SupervisorError =>
  new SupervisorError("SESSION_NOT_FOUND", "no such session");

export const sessionLost = ({ user, server }: Ref): SupervisorError =>
  new SupervisorError(
    "SESSION_LOST",
    `${user}/${server}: the server that held this session is gone; connect again`,
  );
