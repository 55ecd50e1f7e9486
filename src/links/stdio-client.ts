import type { SupervisorError } from "../errors.ts";
import type { Message } from "../mcp/envelope.ts";
import type { Text } from "../mcp/long-text.ts";
import type { Respondent } from "./questions.ts";

/** One session on a child. */
export interface StdioClient extends Respondent {
  /** A message for this session. `about` is the id (canonical JSON text) of the session's own request that it belongs to, `message` what was read of it already. */
  receive(raw: Text, about: string | undefined, message?: Message): void;
  /** The answer to the session's request of that id (canonical JSON text) is not passed on. */
  dropped(id: string, error: SupervisorError): void;
}
