import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { EntryFile } from "../../src/cli/entry-file.ts";
import type { EntryKind } from "../../src/cli/entry-file.ts";
import { diesAt } from "../helpers/dies-at.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const USERS = ["alice", "bob", "carol"];
const links = (codes: Record<string, string>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(codes).map(([user, code]) => [user, `http://here/invite#${code}`]),
  );

/** What `apply` does, against a daemon that takes the whole order or none of it. */
function order(file: string, kind: EntryKind, daemon: Map<string, string>): void {
  const entries = new EntryFile(file, kind);
  const kept = entries.kept();
  const secrets = { ...entries.make(USERS.filter((user) => !daemon.has(user))), ...kept };
  entries.keep(secrets);
  for (const user of USERS) if (!daemon.has(user)) daemon.set(user, secrets[user]!);
  const good = Object.fromEntries(
    Object.entries(secrets).filter(([user, secret]) => daemon.get(user) === secret),
  );
  entries.finish(kind === "keys" ? good : links(good));
}

for (const kind of ["keys", "invites"] as const)
  test(`${kind}: killed at any of its steps, the same order again has what is good of all, and nothing else`, (t) => {
    let died = 0;
    for (let call = 1; ; call += 1) {
      const folder = temporaryFolder(t);
      const file = join(folder, "entries");
      const daemon = new Map<string, string>();
      const isDead = diesAt(call, () => order(file, kind, daemon));
      const isWhole = existsSync(file);
      assert.ok(isWhole || daemon.size === 0 || existsSync(`${file}.new`), `call ${call}: lost`);
      // What was begun is ended, be it that the last step alone was missing.
      if (!isWhole) order(file, kind, daemon);
      const expected = Object.fromEntries(daemon);
      const lines = readFileSync(file, "utf8").trimEnd().split("\n");
      assert.deepEqual(
        Object.fromEntries(lines.map((line) => line.split("\t"))),
        kind === "keys" ? expected : links(expected),
      );
      assert.equal(statSync(file).mode & 0o777, 0o600);
      if (!isDead) {
        assert.deepEqual(readdirSync(folder), ["entries"]);
        break;
      }
      died += 1;
    }
    assert.ok(died > 15, `${died} steps`);
  });

test("a file that is there, or a draft that is nobody's, is refused and left as it is", (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, "keys");
  writeFileSync(file, "mine");
  assert.throws(() => new EntryFile(file, "keys"), { code: "USAGE", message: /is there already/ });
  assert.equal(readFileSync(file, "utf8"), "mine");
  const other = join(folder, "other");
  writeFileSync(`${other}.new`, "alice\tnot a key\n");
  assert.throws(() => new EntryFile(other, "keys").kept(), {
    code: "USAGE",
    message: /in the way/,
  });
  assert.throws(() => new EntryFile(join(folder, "no", "keys"), "keys").keep({ a: "b" }), {
    code: "USAGE",
    message: /ENOENT/,
  });
});

test("where nobody is new no file is made, and what a refused order kept goes", (t) => {
  const folder = temporaryFolder(t);
  const entries = new EntryFile(join(folder, "keys"), "keys");
  entries.keep(entries.make(["alice"]));
  entries.keep({});
  entries.finish({});
  assert.deepEqual(readdirSync(folder), []);
});
