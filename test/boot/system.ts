import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  realpathSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { must } from "../helpers/pack.ts";

/** This machine lacks something that the tests need; that is no failure. */
export class CannotRun extends Error {}

const CACHE = fileURLToPath(new URL("../../node_modules/.cache/boot/", import.meta.url));
const SUITE = "bookworm";
const PACKAGES = [
  "systemd",
  "systemd-sysv",
  "procps",
  "libstdc++6",
  // What sandboxes are made of.
  "bubblewrap",
  "slirp4netns",
];
/** For a server of somebody's own. */
const PYTHON = ["python3"];
const PACKAGES_OF_A_MACHINE = ["linux-image-cloud-amd64", "initramfs-tools", "udev", "kmod"];

export interface Kind {
  isMachine: boolean;
  hasPython: boolean;
}

/** A Debian system as a tar file, made once from the packages of the mirror. */
function systemTar({ isMachine, hasPython }: Kind): string {
  const packages = [
    ...PACKAGES,
    ...(isMachine ? PACKAGES_OF_A_MACHINE : []),
    ...(hasPython ? PYTHON : []),
  ];
  const key = createHash("sha256").update(packages.join()).digest("hex").slice(0, 12);
  const tar = join(CACHE, `${SUITE}-${key}.tar`);
  if (existsSync(tar)) return tar;
  mkdirSync(CACHE, { recursive: true });
  const draft = `${tar}.new`;
  const without = ["doc", "man", "locale"].map(
    (name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`,
  );
  const { status, stderr } = spawnSync(
    "mmdebstrap",
    [
      "--quiet",
      "--variant=minbase",
      // It is a cache: what a power failure breaks is made again.
      "--dpkgopt=force-unsafe-io",
      `--include=${packages.join()}`,
      ...without,
      SUITE,
      `${draft}.tar`,
    ],
    { encoding: "utf8", timeout: 300_000 },
  );
  if (status !== 0)
    throw new CannotRun(`mmdebstrap could not make a system: ${stderr.trim().split("\n").at(-1)}`);
  renameSync(`${draft}.tar`, tar);
  return tar;
}

/** A fresh Debian system in that folder. */
export function unpackSystem(root: string, kind: Kind): void {
  mkdirSync(root);
  must("tar", ["-C", root, "-xf", systemTar(kind)]);
}

/** FastMCP from PyPI in an environment of its own in /srv/own, as its author would have made it there. */
export function installFastMcp(root: string): void {
  must("chroot", [root, "python3", "-m", "venv", "--without-pip", "/srv/own/venv"]);
  const version = must("chroot", [
    root,
    "python3",
    "-c",
    "import sys; print(*sys.version_info[:2], sep='.')",
  ]);
  const target = join(root, "srv/own/venv/lib", `python${version.trim()}`, "site-packages");
  const asThere = ["--python-version", version.trim(), "--only-binary", ":all:"];
  const pip = ["-m", "pip", "install", "--quiet", "--target", target, ...asThere, "fastmcp"];
  must("python3", pip, { timeout: 300_000 });
}

/** The npm of this machine, which is no part of Node's own program. */
export function installNpm(root: string): void {
  const program = realpathSync(must("sh", ["-c", "command -v npm"]).trim());
  const there = "usr/local/lib/node_modules/npm";
  cpSync(dirname(dirname(program)), join(root, there), { recursive: true });
  symlinkSync(`/${there}/bin/npm-cli.js`, join(root, "usr/local/bin/npm"));
}

export interface Furniture {
  /** How many times slower than a real one the system is. */
  slowness: number;
  /** Which files of inside/ it runs. */
  suites: readonly string[];
}

/** Ends the system after the tests, whatever becomes of them. */
const testUnit = ({ slowness, suites }: Furniture): string => `[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/sh /opt/test/boot/inside/run.sh
ExecStopPost=/bin/systemctl --no-block poweroff
Environment=BOOT_SLOWNESS=${slowness} "BOOT_SUITES=${suites.join(" ")}"
TimeoutStartSec=${800 * slowness * suites.length}
[Install]
WantedBy=multi-user.target
`;

/** Puts Node, the tests and the unit that runs them into the system. */
export function furnish(root: string, furniture: Furniture): void {
  const node = join(root, "usr/local/bin/node");
  copyFileSync(process.execPath, node);
  chmodSync(node, 0o755);
  const here = fileURLToPath(new URL("..", import.meta.url));
  for (const part of ["boot", "helpers", "hog", "fixtures/servers"])
    cpSync(join(here, part), join(root, "opt/test", part), { recursive: true });
  writeFileSync(join(root, "etc/systemd/system/test.service"), testUnit(furniture));
  const quiet = ["apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer"];
  must("chroot", [root, "systemctl", "-q", "mask", ...quiet, "dpkg-db-backup.timer"]);
  must("chroot", [root, "systemctl", "-q", "enable", "test.service"]);
}
