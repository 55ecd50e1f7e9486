import assert from "node:assert/strict";
import { rideWithOthers } from "../survive/others.ts";
import { pythonClients } from "../survive/python-clients.ts";
import { byItself } from "../survive/rig.ts";
import { openPython } from "./python.ts";
import { check } from "./report.ts";

const ROUNDS = 50;

/** FastMCP's clients keep their sessions while servers are killed, stopped and replaced. */
export async function visitThroughFaults(): Promise<void> {
  const { bin } = await openPython();
  const { figures } = await rideWithOthers(byItself, pythonClients(bin), ROUNDS);
  for (const { what, wanted, found } of figures) check(what, () => assert.equal(found, wanted));
}
