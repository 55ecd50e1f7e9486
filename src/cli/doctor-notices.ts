import type { Command } from "commander";
import type { TestedNotices } from "../api/types.ts";
import { counted } from "../errors.ts";
import { apiPath, clientFor } from "./client.ts";
import { fail, ok } from "../api/finding.ts";
import type { Finding } from "../api/finding.ts";
import { findingScreen } from "./finding-screen.ts";
import { answer } from "./output.ts";
import { viewHere } from "./view.ts";

function findingOf({ kind, urlFile, failure }: TestedNotices["notices"][number]): Finding {
  const check = `${kind} (${urlFile})`;
  if (failure === null) return ok(check, "the test was taken");
  return fail(check, failure.message, "see that the file holds the URL, and that it is right");
}

/** Has the daemon send a test to everybody who is told of troubles; the exit code is 1 where one does not take it. */
export async function doctorNotices(command: Command): Promise<void> {
  const client = await clientFor(command);
  const { notices } = await client.call<TestedNotices>("POST", apiPath(["notices", "test"]));
  const findings = notices.map(findingOf);
  const taken = notices.filter(({ failure }) => failure === null).length;
  const isOk = taken === notices.length;
  const verdict =
    notices.length === 0
      ? "nobody is told: the config has no notices; troubles are in the log alone"
      : `${taken} of ${counted(notices.length, "place")} took the test`;
  answer(command, { ok: isOk, notices }, findingScreen(verdict, findings, viewHere()));
  if (!isOk) process.exitCode = 1;
}
