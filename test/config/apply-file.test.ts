import assert from "node:assert/strict";
import { test } from "node:test";
import { readApplyFile } from "../../src/config/apply-file.ts";
import type { SupervisorError } from "../../src/errors.ts";

const problemsOf = (text: string): readonly string[] => {
  try {
    readApplyFile(text, "people.yaml");
  } catch (error) {
    const { code, message, details } = error as SupervisorError;
    assert.equal(code, "REQUEST_INVALID", message);
    return details.length === 0 ? [message] : details;
  }
  return [];
};

test("YAML and JSON say the same, and what stands alone is empty", () => {
  const yaml =
    "users:\n  - name: no\n    groups: [staff]\n    servers:\ngroups:\n  - name: staff\n";
  const json = '{"users": [{"name": "no", "groups": ["staff"]}], "groups": [{"name": "staff"}]}';
  const { wanted } = readApplyFile(yaml, "people.yaml");
  assert.deepEqual(wanted.users[0], { name: "no", groups: ["staff"], servers: [] });
  assert.deepEqual(readApplyFile(json, "people.json").wanted, wanted);
  assert.deepEqual(readApplyFile("{}", "people.yaml").wanted, { users: [], groups: [] });
});

test("each mistake is told with its line and path, and a key with the one that was meant", () => {
  const text = [
    "users:",
    "  - name: alice",
    "    grups: [staff]",
    "  - name: Bob",
    "  - name: alice",
    "    servers:",
    "      - weather",
    "      - 7",
    "groops: []",
  ].join("\n");
  assert.deepEqual(problemsOf(text), [
    'people.yaml:3: users[0].grups: is not a known key, did you mean "groups"?',
    "people.yaml:4: users[1].name: must be 1 to 63 characters from a-z, 0-9, _ and -, and begin with a letter or a digit",
    "people.yaml:8: users[2].servers[1]: must be a string",
    'people.yaml:9: groops: is not a known key, did you mean "groups"?',
  ]);
  assert.deepEqual(problemsOf("users: [{name: a}]\ngroups: [{name: all, members: [a]}]"), [
    "people.yaml:2: groups[0].members: everybody is in the group all",
  ]);
  assert.deepEqual(problemsOf("users:\n- name: a\n- name: a\n"), [
    "people.yaml:3: users[1].name: a is there twice",
  ]);
});

test("what is no YAML, or would be read otherwise than it looks, is refused by its line", () => {
  for (const [text, line, what] of [
    ["users:\n- name: a\n  name: b", 3, /twice/],
    ["users:\n\t- name: a", 2, /tab/],
    ['{"users": [', 1, /./],
    ["users: []\n---\nusers: []", 2, /second document/],
  ] as const) {
    const [problem = ""] = problemsOf(text);
    assert.match(problem, new RegExp(`^people\\.yaml:${line}: `), text);
    assert.match(problem, what, text);
  }
  assert.match(problemsOf("")[0]!, /is empty/);
  assert.match(problemsOf("# nothing\n")[0]!, /is empty/);
  assert.match(problemsOf("users: *gone")[0]!, /alias/);
  const bomb = ["a: &a [x, x, x, x, x, x, x, x]"];
  for (let at = 0; at < 8; at += 1) {
    const name = String.fromCharCode(97 + at);
    const next = String.fromCharCode(98 + at);
    bomb.push(`${next}: &${next} [${`*${name}, `.repeat(8)}]`);
  }
  assert.match(problemsOf(bomb.join("\n"))[0]!, /alias/);
});

test("a sentence about a place in the file gets its line", () => {
  const { placed } = readApplyFile("users:\n  - name: a\n    groups:\n      - staff\n", "p.yaml");
  assert.equal(
    placed("users[0].groups[0]: no such group"),
    "p.yaml:4: users[0].groups[0]: no such group",
  );
  assert.equal(placed("users[0].name: taken"), "p.yaml:2: users[0].name: taken");
  assert.equal(placed("something else"), "p.yaml: something else");
});
