// Makes a Debian package of the checkout for each architecture, with a Node of its own in it:
//   npm run deb                              both, into this folder
//   npm run deb -- --arch arm64 --out DIR    one of them; --fast leaves it uncompressed, for tests
// Needs dpkg-deb. A Node for another kind of machine than this one is fetched from npm.
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { SCRIPTS } from "../src/cli/completion-scripts.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const { name, version, description, homepage, devDependencies } = JSON.parse(
  readFileSync(join(root, "package.json"), "utf8"),
);
/** What Debian and npm call the same machines. */
const ARCHITECTURES = { amd64: "x64", arm64: "arm64" };
const HOME = `/usr/lib/${name}`;
const NODE = `${HOME}/node/bin/node`;

const { values } = parseArgs({
  options: {
    arch: { type: "string", multiple: true, default: Object.keys(ARCHITECTURES) },
    out: { type: "string", default: "." },
    fast: { type: "boolean", default: false },
  },
});

const run = (program, args, options = {}) =>
  execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", 2], ...options });

/** What npm packs under this name, unpacked. */
function unpacked(what, folder) {
  const packed = mkdtempSync(join(folder, "packed-"));
  run("npm", ["pack", "--silent", "--pack-destination", packed, ...(what === root ? [] : [what])], {
    cwd: root,
  });
  run("tar", ["-C", packed, "-xzf", join(packed, readdirSync(packed)[0])]);
  return join(packed, "package");
}

/** The Node of this checkout, or the same version for another kind of machine. */
function nodeFor(arch, folder) {
  const cpu = ARCHITECTURES[arch];
  if (process.platform === "linux" && process.arch === cpu)
    return join(root, "node_modules/node/bin/node");
  return join(unpacked(`node-linux-${cpu}@${devDependencies.node}`, folder), "bin", "node");
}

/** Only what this kind of machine can load. The koffi in it is for the one that packs. */
function prune(home, arch) {
  const cpu = ARCHITECTURES[arch];
  const modules = join(home, "node_modules");
  for (const file of globSync("better-sqlite3/prebuilds/*.node", { cwd: modules }))
    if (!file.endsWith(`/linux-${cpu}.node`)) rmSync(join(modules, file));
  for (const folder of ["better-sqlite3/deps", "better-sqlite3/src"])
    rmSync(join(modules, folder), { recursive: true, force: true });
  if (globSync(`@koromix/koffi-linux-${cpu}`, { cwd: modules }).length > 0) return;
  for (const folder of ["koffi", "@koromix"])
    rmSync(join(modules, folder), { recursive: true, force: true });
}

function put(stage, path, content, mode = 0o644) {
  const file = join(stage, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  chmodSync(file, mode);
}

const control = (arch, kibibytes) => `Package: ${name}
Version: ${version}
Architecture: ${arch}
Maintainer: ${name} <${homepage}>
Installed-Size: ${kibibytes}
Depends: bubblewrap, slirp4netns, systemd (>= 247), libc6 (>= 2.28), libstdc++6
Suggests: npm, python3-venv
Section: net
Priority: optional
Homepage: ${homepage}
Description: ${description}
 A gateway with access keys, and behind it a child of each user's own, in a
 sandbox, with that user's token. It carries its own Node.
`;

/** What `service install` says is for the admin; a machine that lacks something must not keep apt from ending. */
const POSTINST = `#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
if [ ! -d /run/systemd/system ]; then
  echo "systemd does not run here, so there is no service yet: mcp-supervisor service install makes it"
  exit 0
fi
if said=$(/usr/bin/${name} service install); then
  # What it says to do next is done here.
  echo "$said" | sed '/^Next:$/,$d'
  systemctl enable ${name}.socket ${name}.service
  systemctl restart ${name}.socket ${name}.service ||
    echo "the service does not start: journalctl -u ${name} says why"
  echo "The first user: sudo mcp-supervisor user add alice"
else
  echo "$said"
  echo "Once that is there: sudo mcp-supervisor service install && sudo systemctl enable --now ${name}"
fi
`;

const PRERM = `#!/bin/sh
set -e
[ "$1" = remove ] || exit 0
[ ! -d /run/systemd/system ] || /usr/bin/${name} service uninstall
`;

/** The account stays: its number must not come to be somebody else's while files of it are left elsewhere. */
const POSTRM = `#!/bin/sh
set -e
[ "$1" = purge ] || exit 0
for folder in /etc/${name} /var/lib/${name}; do
  [ -e "$folder" ] || continue
  echo "deleting $folder"
  rm -rf "$folder"
done
`;

function fill(stage, home, arch) {
  cpSync(home, join(stage, HOME), { recursive: true });
  prune(join(stage, HOME), arch);
  const node = join(stage, NODE);
  mkdirSync(dirname(node), { recursive: true });
  copyFileSync(nodeFor(arch, dirname(stage)), node);
  chmodSync(node, 0o755);
  const program = join(stage, HOME, "bin", `${name}.js`);
  const text = readFileSync(program, "utf8");
  // Debian's own Node is older than is needed, or none.
  writeFileSync(program, text.replace("#!/usr/bin/env node", `#!${NODE}`));
  chmodSync(program, 0o755);
  mkdirSync(join(stage, "usr/bin"), { recursive: true });
  symlinkSync(`../lib/${name}/bin/${name}.js`, join(stage, "usr/bin", name));
  const zipped = (path) => gzipSync(readFileSync(join(root, path)), { level: 9 });
  put(stage, `usr/share/man/man1/${name}.1.gz`, zipped(`docs/${name}.1`));
  put(stage, `usr/share/doc/${name}/changelog.gz`, zipped("CHANGELOG.md"));
  put(stage, `usr/share/doc/${name}/copyright`, readFileSync(join(root, "LICENSE")));
  put(stage, `usr/share/bash-completion/completions/${name}`, `${SCRIPTS.bash}\n`);
  put(stage, `usr/share/zsh/vendor-completions/_${name}`, `${SCRIPTS.zsh}\n`);
  put(stage, `usr/share/fish/vendor_completions.d/${name}.fish`, `${SCRIPTS.fish}\n`);
  const [kibibytes] = run("du", ["-sk", stage]).split("\t");
  put(stage, "DEBIAN/control", control(arch, kibibytes));
  put(stage, "DEBIAN/postinst", POSTINST, 0o755);
  put(stage, "DEBIAN/prerm", PRERM, 0o755);
  put(stage, "DEBIAN/postrm", POSTRM, 0o755);
  // Whatever the umask of who packs is.
  run("chmod", ["-R", "u+rwX,go+rX,go-w", stage]);
}

const folder = mkdtempSync(join(tmpdir(), "mcps-deb-"));
try {
  const home = unpacked(root, folder);
  for (const arch of values.arch) {
    if (!Object.hasOwn(ARCHITECTURES, arch))
      throw new Error(`--arch is one of ${Object.keys(ARCHITECTURES).join(", ")}`);
    const stage = join(folder, arch);
    fill(stage, home, arch);
    const file = resolve(values.out, `${name}_${version}_${arch}.deb`);
    const how = ["--root-owner-group", values.fast ? "-Znone" : "-Zxz"];
    run("dpkg-deb", [...how, "--build", stage, file]);
    console.log(file);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
