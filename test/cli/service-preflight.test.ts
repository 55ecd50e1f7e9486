import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { findTool } from "../../src/engines/process/programs.ts";
import { runCli } from "../helpers/daemon.ts";
import { noSandbox, notRoot } from "../helpers/isolation.ts";
import { temporaryFolder } from "../helpers/store.ts";

/** A system of its own for one command, which lacks what these lines take away. */
const systemWith = (...lines: string[]): string[] => [
  "unshare",
  "--mount",
  "--",
  "sh",
  "-c",
  [...lines, 'exec "$@"'].join("\n"),
  "sh",
];
const gone = (...tools: string[]): string[] =>
  tools.flatMap((name) => {
    const file = findTool(name);
    return file === undefined ? [] : [`mount --bind /dev/null "$(readlink -f ${file})"`];
  });
/** As on a machine that systemd runs, where the module was not loaded yet. */
const BARE = systemWith(
  ...gone("bwrap", "slirp4netns"),
  "mount -t tmpfs none /run",
  "mkdir -p /dev/net /run/systemd/system",
  "mount -t tmpfs none /dev/net",
);
const canUnshare = spawnSync("unshare", ["--mount", "true"]).status === 0;
const skip = notRoot || (canUnshare ? false : "this root cannot mount");

interface Rehearsed {
  missing: string[];
  remedy: string | null;
  warnings: string[];
}

function configIn(t: TestContext, settings: object = {}): string {
  const folder = temporaryFolder(t);
  const path = join(folder, "supervisor.config.json");
  const servers = { mail: { command: "cat" }, calendar: { command: "cat" } };
  const all = { dataDir: join(folder, "data"), defaultServer: "mail", servers, ...settings };
  writeFileSync(path, JSON.stringify(all), { mode: 0o600 });
  return path;
}

test(
  "service install tells of all that a bare machine lacks at once, with one line that brings it",
  { skip },
  async (t) => {
    const args = ["--config", configIn(t), "service", "install", "--dry-run"];
    const { code, stdout } = await runCli(["--json", ...args], { through: BARE });
    const { missing, remedy } = JSON.parse(stdout) as Rehearsed;
    assert.equal(code, 1);
    assert.deepEqual(missing.slice(0, 3), [
      "bubblewrap is not installed",
      "slirp4netns is not installed",
      "/dev/net/tun is missing",
    ]);
    assert.match(remedy ?? "", / bubblewrap slirp4netns && (sudo )?modprobe tun$/);
    const people = await runCli(args, { through: BARE });
    assert.equal(
      people.stdout.split("\n").filter((line) => line.startsWith("missing: ")).length,
      4,
    );
    assert.ok(people.stdout.endsWith(`Next:\n  ${remedy}\n`), people.stdout);
  },
);

test(
  "it is told of what an account without rights gets, whatever root could do",
  { skip: skip || noSandbox },
  async (t) => {
    const rehearse = async (config: string, ...lines: string[]): Promise<Rehearsed> => {
      const args = ["--json", "--config", config, "service", "install", "--dry-run"];
      const { stdout } = await runCli(args, { through: systemWith(...lines) });
      return JSON.parse(stdout) as Rehearsed;
    };
    const offline = { servers: { mail: { command: "cat", network: "none" } } };
    assert.deepEqual((await rehearse(configIn(t, offline))).missing, []);
    // Root passes where the bits of a mode keep others out.
    const closed = ["mkdir -p /dev/net", "mount -t tmpfs none /dev/net", ": >/dev/net/tun"];
    const { missing, remedy } = await rehearse(
      configIn(t, { isolation: "sandbox" }),
      ...closed,
      "chmod 600 /dev/net/tun",
    );
    assert.ok(missing.includes("/dev/net/tun is closed to this account"), missing.join());
    assert.match(remedy ?? "", /chmod 666 \/dev\/net\/tun/);
    const uids = { from: 61_001, to: 61_009 };
    const byUser = await rehearse(configIn(t, { isolation: "user", uids }));
    assert.match(byUser.missing.join(), /only a daemon that runs as root can give/);
  },
);

test(
  "doctor as root tells of what the service's account gets, and advises nothing that is for root alone",
  { skip },
  async (t) => {
    const config = configIn(t);
    const { stdout } = await runCli(["--json", "--config", config, "doctor"], { through: BARE });
    const { findings } = JSON.parse(stdout) as {
      findings: { check: string; found: string; next: string | null }[];
    };
    const about = (check: string) => findings.find((finding) => finding.check === check);
    assert.match(about("account")?.found ?? "", /the account mcp-supervisor of the service/);
    const { found, next } = about("isolation of mail")!;
    assert.match(
      found,
      /bubblewrap is not installed.*slirp4netns is not installed.*tun is missing/,
    );
    assert.match(next ?? "", / bubblewrap slirp4netns && (sudo )?modprobe tun, or write /);
    assert.doesNotMatch(stdout, /uids/);
  },
);

test("what is missing is no reason to make anything", { skip }, async (t) => {
  const config = configIn(t);
  mkdirSync(join(config, "../data"));
  const args = ["--json", "--config", config, "service", "install"];
  // Whatever it would write to lies in a file system that ends with it.
  const apart = ["mkdir -p /etc/systemd/system", "mount -t tmpfs none /etc/systemd/system"];
  const version = 'printf "#!/bin/sh\necho systemd 252\n" >/dev/net/systemctl';
  const path = "chmod 755 /dev/net/systemctl; PATH=/dev/net:$PATH";
  const through = [...BARE];
  through[5] = [...apart, ...BARE[5]!.split("\n").slice(0, -1), version, path, 'exec "$@"'].join(
    "\n",
  );
  const { code, stderr } = await runCli(args, { through });
  const { error } = JSON.parse(stderr) as { error: { type: string; details: string[] } };
  assert.deepEqual([code, error.type], [1, "SERVICE_REFUSED"]);
  assert.match(error.details.at(-1) ?? "", / bubblewrap slirp4netns && (sudo )?modprobe tun$/);
  assert.ok(!existsSync("/etc/mcp-supervisor"), "no folder was made");
});
