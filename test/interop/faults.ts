import assert from "node:assert/strict";
import { rideWithOthers } from "../survive/others.ts";
import { pythonClients } from "../survive/python-clients.ts";
import { endUnderClients } from "../survive/restarts.ts";
import { byItself } from "../survive/rig.ts";
import { openPython } from "./python.ts";
import { check } from "./report.ts";

const ROUNDS = 50;

const ENDS = 10;

/** FastMCP's clients keep their sessions while servers are killed, stopped and replaced, and over /mcp while the daemon is. */
export async function visitThroughFaults(): Promise<void> {
  const { bin } = await openPython();
  const ridden = await rideWithOthers(byItself, pythonClients(bin), ROUNDS);
  // Over HTTP with SSE they end with their stream, and over /mcp with a POST that is cut.
  const clients = () => pythonClients(bin)().filter(({ front }) => front === "mcp");
  const ended = await endUnderClients(byItself, { ends: ENDS, clients, isBusy: false });
  for (const { what, wanted, found, holds } of [...ridden.figures, ...ended.figures])
    check(what, () => assert.ok(holds, `${found} and not ${wanted}`));
}
