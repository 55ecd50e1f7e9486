import assert from "node:assert/strict";
import { test } from "node:test";
import { confinementFindings } from "../../../src/engines/process/findings.ts";
import type { Level } from "../../../src/engines/process/confinement.ts";

const ALL = { user: [], sandbox: [], outbound: [] };

const said = (levels: Record<string, Level | "auto">): string =>
  confinementFindings(
    ALL,
    Object.entries(levels).map(([name, isolation]) => ({ name, isolation, network: "none" })),
  )
    .map(({ problem, remedy }) => `${problem}: ${remedy}`)
    .join("\n");

test("servers at level none beside others that are not are named, with whose tokens they can read", () => {
  const levels = { files: "none", mail: "auto", web: "none", calendar: "sandbox" } as const;
  assert.match(
    said(levels),
    /children of files, web run at level none, .* children of mail, calendar from .*: give files, web a level too/,
  );
});

test("where all servers are open, or none, nothing is said of neighbours", () => {
  assert.doesNotMatch(said({ files: "none", web: "none" }), /level none/);
  assert.doesNotMatch(said({ files: "auto", web: "sandbox" }), /level none/);
});
