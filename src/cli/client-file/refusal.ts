import { SupervisorError } from "../../errors.ts";

export const refused = (message: string, next: readonly string[] = []): SupervisorError =>
  new SupervisorError("CLIENT_FILE_REFUSED", message, { details: next });

/** The file is not as we know such files, so nothing is guessed. */
export const cannotMerge = (why: string): SupervisorError =>
  refused(`the entry cannot be merged into the client's file: ${why}`, [
    "nothing was changed; without --write the snippet is printed, to be pasted by hand",
  ]);
