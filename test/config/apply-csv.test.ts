import assert from "node:assert/strict";
import { test } from "node:test";
import { readApplyFile } from "../../src/config/apply-file.ts";
import type { SupervisorError } from "../../src/errors.ts";

const read = (lines: readonly string[], file = "people.csv") =>
  readApplyFile(lines.join("\r\n"), file);

const problemsOf = (...lines: string[]): readonly string[] => {
  try {
    read(lines);
  } catch (error) {
    const { code, message, details } = error as SupervisorError;
    assert.equal(code, "REQUEST_INVALID", message);
    return details.length === 0 ? [message] : details;
  }
  return [];
};

test("a line of CSV is a user and a server, and the lines of one user are one", () => {
  const { wanted, tokens } = read([
    "slug,name,email,server,token",
    'alice,"Smith, ""Al""",alice@example.com,gmail,tok-1',
    "alice,,,docs,",
    "",
    "bob,,,,tok-2",
  ]);
  assert.deepEqual(wanted, {
    users: [
      {
        name: "alice",
        displayName: 'Smith, "Al"',
        email: "alice@example.com",
        servers: ["gmail", "docs"],
        groups: [],
      },
      { name: "bob", servers: [], groups: [] },
    ],
    groups: [],
  });
  assert.deepEqual(tokens, [
    { user: "alice", server: "gmail", token: "tok-1" },
    { user: "bob", server: null, token: "tok-2" },
  ]);
  // By its header line where it has no name, with another order of columns, and a byte order mark.
  const { wanted: other } = read(["\uFEFFserver,Slug", "gmail,alice", ""], "stdin");
  assert.deepEqual(other.users, [{ name: "alice", servers: ["gmail"], groups: [] }]);
  assert.equal(read(["slug", '"alice"'], "stdin").wanted.users.length, 1);
});

test("what is wrong is told with its line, and no cell is repeated", () => {
  const lines = problemsOf("slug,email", 'alice,"a\nb"', "Bob Smith,x@y.z", "alice,c@example.com");
  assert.deepEqual(
    lines.map((line) => line.replace(/: must .*/, "")),
    [
      "people.csv:5: the user has another email than in an earlier line",
      "people.csv:2: users[0].email",
      "people.csv:4: users[1].name",
    ],
  );
  assert.match(problemsOf("alice,secret")[0]!, /^people\.csv:1: column 1 .* is none of slug, name/);
  assert.match(problemsOf("slug;name", "alice;Alice")[0]!, /separated by commas/);
  assert.match(problemsOf("name", "Alice")[0]!, /has no slug/);
  assert.match(problemsOf("slug,slug", "a,b")[0]!, /twice/);
  assert.deepEqual(problemsOf("slug,name", "alice"), [
    "people.csv:2: has not as many cells as the header line",
  ]);
  assert.deepEqual(problemsOf("slug,name", 'alice,a"b'), ["people.csv:2: a quote stands alone"]);
  assert.match(problemsOf("slug,token", "a,1", "a,2")[0]!, /^people\.csv:3: there are two tokens/);
  assert.deepEqual(problemsOf(""), ["people.csv: is empty"]);
});
