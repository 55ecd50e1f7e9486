import assert from "node:assert/strict";
import type { Check, Scenario } from "../check.ts";
import type { Params } from "../session.ts";

const INITIALIZATION = "2024-11-05/basic/lifecycle#initialization";
const NEGOTIATION = "2024-11-05/basic/lifecycle#version-negotiation";

/** Every version that begins with `initialize`. */
const VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
const NO_VERSION = "1999-12-31";

const handshake: Check[] = [
  {
    id: "initialize",
    section: INITIALIZATION,
    says: "initialize is answered with the server's version, capabilities, name and version",
    run: async (visit) => {
      const session = await visit.open();
      const result = await session.initialize();
      const { name, version } = (result["serverInfo"] ?? {}) as Params;
      assert.equal(typeof result["protocolVersion"], "string");
      assert.equal(typeof result["capabilities"], "object");
      assert.deepEqual([typeof name, typeof version], ["string", "string"]);
    },
  },
  {
    id: "initialized",
    section: INITIALIZATION,
    says: "after `initialized` the session does what the server has declared",
    run: async (visit) => {
      const session = await visit.start();
      await session.settle();
      for (const [capability, method] of [
        ["tools", "tools/list"],
        ["prompts", "prompts/list"],
        ["resources", "resources/list"],
      ] as const)
        if (capability in visit.survey.capabilities) await session.result(method);
    },
  },
  {
    id: "initialize-twice-elsewhere",
    section: INITIALIZATION,
    says: "every session has a handshake of its own and the same server behind it",
    run: async (visit) => {
      const [one, two] = await Promise.all([visit.open(), visit.open()]);
      const [first, second] = await Promise.all([one.shakeHands(), two.shakeHands()]);
      assert.deepEqual(first["serverInfo"], second["serverInfo"]);
      assert.deepEqual(first["capabilities"], second["capabilities"]);
    },
  },
  {
    id: "ping-before-initialized",
    section: INITIALIZATION,
    says: "a ping between the answer to initialize and `initialized` is answered",
    run: async (visit) => {
      const session = await visit.open();
      await session.initialize();
      assert.deepEqual(await session.result("ping"), {});
    },
  },
  {
    id: "quiet-before-initialized",
    section: INITIALIZATION,
    says: "before `initialized` the server asks nothing but pings",
    run: async (visit) => {
      const session = await visit.open();
      await session.initialize({ capabilities: { roots: { listChanged: true }, sampling: {} } });
      await session.settle();
      const asked = session.inbox.items
        .map(({ message }) => message)
        .filter(({ method, id }) => method !== undefined && id !== undefined);
      assert.deepEqual(
        asked.map(({ method }) => method).filter((method) => method !== "ping"),
        [],
      );
    },
  },
];

const versions: Check[] = [
  {
    id: "version-2024-11-05",
    section: NEGOTIATION,
    says: "the version of this transport is agreed on when the client asks for it",
    run: async (visit) => {
      const session = await visit.open();
      const { protocolVersion } = await session.initialize({ version: "2024-11-05" });
      assert.equal(protocolVersion, "2024-11-05");
    },
  },
  {
    id: "version-later",
    section: NEGOTIATION,
    says: "a later version is agreed on or answered with one that has a handshake",
    run: async (visit) => {
      for (const version of VERSIONS) {
        const session = await visit.open();
        const { protocolVersion } = await session.shakeHands({ version });
        assert.ok(
          VERSIONS.includes(String(protocolVersion)),
          `${version}: ${String(protocolVersion)}`,
        );
        await session.settle();
      }
    },
  },
  {
    id: "version-unknown",
    section: NEGOTIATION,
    says: "a version that the server does not know is answered with one that it does",
    run: async (visit) => {
      const session = await visit.open();
      const { protocolVersion } = await session.initialize({ version: NO_VERSION });
      assert.match(String(protocolVersion), /^\d{4}-\d\d-\d\d$/);
      assert.notEqual(protocolVersion, NO_VERSION);
    },
  },
];

export const lifecycle: Scenario = { id: "lifecycle", checks: [...handshake, ...versions] };
