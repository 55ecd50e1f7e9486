import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { printable } from "../../src/cli/printable.ts";
import { leavingText, table } from "../../src/cli/table.ts";
import type { Column } from "../../src/cli/table.ts";
import { cutTo, shown, textWidth, wrapped } from "../../src/cli/view.ts";

type Row = readonly string[];

const columnsOf = (
  ...titles: readonly (string | (Partial<Column<Row>> & { title: string }))[]
): Column<Row>[] =>
  titles.map((title, at) => ({
    cell: (row) => row[at] ?? "",
    ...(typeof title === "string" ? { title } : title),
  }));

interface Seen {
  width?: number;
  hasColour?: boolean;
  notes?: (row: Row) => string[];
}

function seen(columns: Column<Row>[], rows: Row[], { width = Infinity, ...how }: Seen = {}) {
  const { hasColour = false, notes } = how;
  const lines = table(columns, rows, { width, now: 0 }, notes === undefined ? {} : { notes });
  return shown(lines, { hasColour }).trimEnd().split("\n");
}

test("a table has columns as wide as their widest cell and no trailing blanks", () => {
  const columns = columnsOf("USER", "STATE", { title: "CALLS", isNumber: true });
  assert.deepEqual(
    seen(columns, [
      ["alice", "enabled", "12"],
      ["bo", "", "3"],
    ]),
    ["USER   STATE    CALLS", "alice  enabled     12", "bo                  3"],
  );
  assert.deepEqual(seen(columnsOf("USER", "STATE"), [["alice", ""]]), ["USER   STATE", "alice"]);
});

test("where the terminal is too narrow, columns go in their order, and no more than must", () => {
  const columns = columnsOf(
    "USER",
    { title: "PORT", leaves: 2 },
    { title: "PID", leaves: 1 },
    "STATE",
  );
  const rows = [["alice", "10001", "4711", "ready"]];
  assert.equal(seen(columns, rows, { width: 25 })[0], "USER   PORT   PID   STATE");
  assert.equal(seen(columns, rows, { width: 24 })[0], "USER   PORT   STATE");
  assert.equal(seen(columns, rows, { width: 18 })[0], "USER   STATE");
  assert.match(leavingText(columns), /go in this order:\n {2}PID, PORT\n/);
});

test("what must stay and is too wide is cut, the widest first, and says so", () => {
  const rows = [["a".repeat(30), "short"]];
  assert.deepEqual(seen(columnsOf("USER", "STATE"), rows, { width: 20 }), [
    "USER           STATE",
    `${"a".repeat(12)}…  short`,
  ]);
});

test("sentences stand below their row, broken between words", () => {
  const notes = (): string[] => ["the child exited with code 3"];
  assert.deepEqual(seen(columnsOf("USER"), [["alice"]], { width: 20, notes }), [
    "USER",
    "alice",
    "  the child exited",
    "  with code 3",
  ]);
  assert.deepEqual(wrapped("averylongword b", "", 4), ["averylongword", "b"]);
});

test("wide characters take the two columns that a terminal gives them", () => {
  assert.deepEqual(["añb", "e\u0301", "王明", "👩‍💻"].map(textWidth), [3, 1, 4, 2]);
  assert.equal(cutTo("王明王明", 6), "王明…");
  assert.deepEqual(seen(columnsOf("NAME", "X"), [["王明", "1"]]), ["NAME  X", "王明  1"]);
});

test("colour says what a state means, and takes nothing away where there is none", () => {
  const columns = columnsOf("USER", { title: "STATE", tone: () => "bad" });
  const rows = [["alice", "parked"]];
  const coloured = seen(columns, rows, { hasColour: true }).join("\n");
  assert.ok(coloured.includes("\u001b[31mparked\u001b[0m"), coloured);
  assert.equal(stripVTControlCharacters(coloured), seen(columns, rows).join("\n"));
});

test("a child's text cannot steer the admin's terminal", () => {
  assert.equal(printable("\u001b[2Jhi\r\n\u009b31m\u0007"), "\\x1b[2Jhi\\x0d\\x0a\\x9b31m\\x07");
  assert.equal(printable("tab\tand ü 中 stay"), "tab\tand ü 中 stay");
  const columns = columnsOf({ title: "A", tone: () => "bad" });
  assert.deepEqual(seen(columns, [["\u001b]0;title\u0007"]]), ["A", "\\x1b]0;title\\x07"]);
  assert.equal(
    shown([[{ text: "\u001b[2J", tone: "bad" }]], { hasColour: true }),
    "\u001b[31m\\x1b[2J\u001b[0m\n",
  );
});
