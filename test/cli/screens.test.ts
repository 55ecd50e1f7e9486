import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { auditScreen } from "../../src/cli/audit.ts";
import { running } from "../../src/api/daemon-checks.ts";
import { findingLines } from "../../src/cli/finding-screen.ts";
import { logScreen } from "../../src/cli/logs.ts";
import { statusScreen } from "../../src/cli/status.ts";
import { userScreen } from "../../src/cli/user-list.ts";
import { shown } from "../../src/cli/view.ts";
import type { Line, View } from "../../src/cli/view.ts";
import * as crowd from "./screens/crowd.ts";

/** With UPDATE_SCREENS=1 the files are written anew, to be looked at before they are committed. */
const isUpdate = process.env["UPDATE_SCREENS"] === "1";

const fileOf = (name: string, width: number): URL =>
  new URL(`screens/${name}-${width}.txt`, import.meta.url);

const SCREENS: Record<string, (view: View) => Line[]> = {
  status: (view) => statusScreen(crowd.STATUS, crowd.STATUS.instances, view),
  "user-list": (view) => userScreen(crowd.USERS, view),
  audit: (view) => auditScreen(crowd.AUDIT, view),
  doctor: (view) => findingLines(running(crowd.MACHINE), view),
  logs: () => logScreen(crowd.LOGS),
};

for (const [name, screen] of Object.entries(SCREENS))
  for (const width of [80, 120])
    test(`${name} for three hundred users is what it was at ${width} columns, and fits`, () => {
      const lines = screen({ width, hasColour: false, now: crowd.NOW });
      const plain = shown(lines, { hasColour: false });
      if (isUpdate) writeFileSync(fileOf(name, width), plain);
      assert.equal(plain, readFileSync(fileOf(name, width), "utf8"));
      const coloured = shown(lines, { hasColour: true });
      assert.equal(stripVTControlCharacters(coloured), plain, "colour takes and adds nothing");
      // A child's own line stays whole.
      if (name === "logs") return;
      for (const line of plain.split("\n")) assert.ok(line.length <= width, line);
    });
