import assert from "node:assert/strict";
import { test } from "node:test";
import { rawClient } from "./raw-client.ts";
import { endUnderClients } from "./restarts.ts";
import { inTest } from "./rig.ts";
import { typescriptClients } from "./sdk-clients.ts";

// `npm run survive` ends it more often, `npm run interop` under the clients of FastMCP.
test("clients go on after the daemon was killed and stopped under their calls, and nobody is refused meanwhile", async (t) => {
  const clients = () => [rawClient(), rawClient(), ...typescriptClients()];
  const { failed } = await endUnderClients(inTest(t), { ends: 1, clients, kinds: ["http"] });
  assert.deepEqual(failed, []);
});
