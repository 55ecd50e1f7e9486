import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync } from "node:fs";
import { chmodSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { closeForkServer } from "../../../src/engines/process/forks.ts";
import { bytesIn, giveFolder, removeFolder } from "../../../src/engines/process/folders.ts";
import { findTool } from "../../../src/engines/process/programs.ts";
import { notRoot } from "../../helpers/isolation.ts";

/** Nobody else's. */
const [UID, OTHER] = [58_100, 58_101];
const noPerl = findTool("perl") === undefined ? "perl is not installed" : false;
const become = (uid: number) => ["--reuid", `${uid}`, "--regid", `${uid}`, "--clear-groups", "--"];

function folderOf(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "mcps-folders-"));
  chmodSync(dir, 0o755);
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  t.after(closeForkServer);
  return dir;
}

const SWAP = `
  my ($home, $outside) = @ARGV;
  chdir $home or die;
  for my $dir (1 .. 40) { mkdir "d$dir"; for (1 .. 20) { open my $file, ">", "d$dir/f$_" } }
  $| = 1; print "ready";
  for (;;) { for my $dir (1 .. 40) {
    rename "d$dir", "aside$dir"; symlink $outside, "d$dir"; unlink "d$dir"; rename "aside$dir", "d$dir";
    mkdir "d$dir"; open my $file, ">", "d$dir/f";
  } }`;

for (const [whose, uid] of [
  ["the daemon's own account", 0],
  ["an account of its own", UID],
] as const) {
  test(
    `a folder of ${whose} is deleted without a change outside of it, whatever is swapped for links meanwhile`,
    { skip: notRoot || noPerl },
    async (t) => {
      const dir = folderOf(t);
      const [home, outside] = [join(dir, "home"), join(dir, "outside")];
      mkdirSync(home);
      chownSync(home, uid, uid);
      mkdirSync(join(outside, "deep/er"), { recursive: true });
      for (const name of ["a", "b", "deep/c"]) writeFileSync(join(outside, name), "");
      const tree = () =>
        readdirSync(outside, { recursive: true, encoding: "utf8" })
          .map((name) => `${name} ${statSync(join(outside, name)).mode}`)
          .toSorted();
      const before = tree();
      const swapper = spawn("setpriv", [...become(uid), "perl", "-e", SWAP, home, outside]);
      t.after(() => swapper.kill("SIGKILL"));
      await once(swapper.stdout, "data");
      const removing = removeFolder(home).then(
        () => "removed",
        () => "in vain",
      );
      await bytesIn(home);
      await giveFolder(home, uid, uid);
      // What keeps on making files may keep it from its end.
      const isOver = new Promise<void>((resolve) => setTimeout(resolve, 1_000));
      await Promise.race([removing, isOver]);
      swapper.kill("SIGKILL");
      await once(swapper, "exit");
      await removing;
      await removeFolder(home);
      assert.ok(!existsSync(home));
      assert.deepEqual(tree(), before);
    },
  );
}

test("a folder is deleted however deep it is, and whatever rights its owner has taken away", async (t) => {
  const dir = folderOf(t);
  const home = join(dir, "home");
  const deep = "d/".repeat(200);
  mkdirSync(join(home, deep), { recursive: true });
  mkdirSync(join(home, "locked/below"), { recursive: true });
  for (const name of [deep, "locked/below"]) writeFileSync(join(home, name, "file"), "");
  symlinkSync("/nowhere", join(home, "link"));
  chmodSync(join(home, "locked/below"), 0o500);
  chmodSync(join(home, "locked"), 0);
  if (notRoot) await removeFolder(home);
  else {
    chownSync(dir, UID, UID);
    spawnSync("chown", ["-hR", `${UID}`, home]);
    // As an ordinary account's daemon does it.
    const program = fileURLToPath(new URL("programs/remove-folder.ts", import.meta.url));
    const argv = [...become(UID), process.execPath, "--no-warnings", program, home];
    const { stderr } = spawnSync("setpriv", argv, { encoding: "utf8" });
    assert.equal(stderr, "");
  }
  assert.ok(!existsSync(home));
});

test("what is no folder any more is taken away itself, and what is not there needs nothing", async (t) => {
  const dir = folderOf(t);
  mkdirSync(join(dir, "target"));
  symlinkSync(join(dir, "target"), join(dir, "link"));
  await removeFolder(join(dir, "link"));
  await removeFolder(join(dir, "nothing"));
  assert.deepEqual(readdirSync(dir), ["target"]);
});

test(
  "a folder is given with what was its owner's, and with nothing that was linked into it",
  { skip: notRoot },
  async (t) => {
    const dir = folderOf(t);
    const home = join(dir, "home");
    mkdirSync(join(home, "below"), { recursive: true });
    for (const name of ["home/mine", "home/below/mine", "roots"])
      writeFileSync(join(dir, name), "");
    for (const name of ["home", "home/below", "home/mine", "home/below/mine"])
      chownSync(join(dir, name), UID, UID);
    linkSync(join(dir, "roots"), join(home, "hard"));
    symlinkSync(join(dir, "roots"), join(home, "soft"));
    await giveFolder(home, UID, OTHER);
    const ownerOf = (name: string) => statSync(join(dir, name)).uid;
    assert.deepEqual(["home", "home/below", "home/mine", "home/below/mine", "roots"].map(ownerOf), [
      OTHER,
      OTHER,
      OTHER,
      OTHER,
      0,
    ]);
  },
);

test("bytes are counted in the folder itself and below, not where links lead", async (t) => {
  const dir = folderOf(t);
  const home = join(dir, "home");
  mkdirSync(join(home, "below"), { recursive: true });
  writeFileSync(join(home, "below/file"), "x".repeat(100_000));
  writeFileSync(join(dir, "outside"), "x".repeat(1_000_000));
  symlinkSync(dir, join(home, "away"));
  const bytes = await bytesIn(home);
  assert.ok(bytes >= 100_000 && bytes < 500_000, `${bytes} bytes`);
  symlinkSync(home, join(dir, "link"));
  assert.equal(await bytesIn(join(dir, "link")), 0);
});
