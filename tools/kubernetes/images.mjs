// Images for the cluster, made of files of this machine: there is no registry to fetch any from.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { makeShimImage } from "../../src/engines/kubernetes/shim-image.ts";
import { ociArchive } from "../../src/platform/oci-archive.ts";
import { tarOf } from "../../src/platform/tar.ts";
import { BIN, PAUSE_IMAGE, RUN } from "./places.mjs";
import { run } from "./processes.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const NODE = join(ROOT, "node_modules/node/bin/node");
const NOBODY = "65532:65532";
/** What Go calls this kind of machine. */
const ARCHITECTURE = process.arch === "arm64" ? "arm64" : "amd64";

export const IMAGES = {
  shim: "localhost/mcp-supervisor/shim:test",
  /** Node, the packages that the product depends on, and the servers of the tests, below /app. */
  servers: "localhost/mcps/servers:test",
  /** The product, as its Dockerfile makes it. */
  supervisor: "localhost/mcps/supervisor:test",
};

/** Paths in the image, and what of this machine goes there, as tar is told it; nothing of it tells when it was made. */
function layerOf(entries) {
  const folder = mkdtempSync(join(tmpdir(), "mcps-layer-"));
  try {
    const file = join(folder, "layer.tar");
    const same = [
      "--sort=name",
      "--mtime=@0",
      "--owner=0",
      "--group=0",
      "--numeric-owner",
      "--hard-dereference",
    ];
    for (const [at, [to, { from, names = ["."] }]] of Object.entries(entries).entries()) {
      const place = `--transform=flags=rSH;s,^,${to.replace(/^\//, "")}/,`;
      run("tar", [at === 0 ? "-cf" : "-rf", file, ...same, place, "-C", from, ...names]);
    }
    return readFileSync(file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The files that the loader of this machine finds for a program, each with its folder. */
function librariesOf(program) {
  const files = run("ldd", [program]).matchAll(/(\/\S+) \(0x/g);
  return Array.from(files, ([, path]) => path);
}

const accounts = tarOf([
  {
    path: "etc/passwd",
    mode: 0o644,
    content: Buffer.from("root:x:0:0::/:/sbin/nologin\nnode:x:1000:1000::/tmp:/sbin/nologin\n"),
  },
  { path: "etc/group", mode: 0o644, content: Buffer.from("root:x:0:\nnode:x:1000:\n") },
]);

/** Node with what it is linked to, one layer that all images share. */
function nodeLayer() {
  const libraries = librariesOf(NODE).map((path) => ({
    path: path.slice(1),
    mode: 0o755,
    content: readFileSync(path),
  }));
  return tarOf([{ path: "usr/bin/node", mode: 0o755, content: readFileSync(NODE) }, ...libraries]);
}

function productionModules() {
  const listed = run("npm", ["ls", "--omit=dev", "--all", "--parseable"], { cwd: ROOT });
  const folders = listed
    .trim()
    .split("\n")
    .slice(1)
    .filter((path) => existsSync(path));
  return folders.map((path) => relative(ROOT, path));
}

function save(name, image) {
  mkdirSync(RUN, { recursive: true });
  const file = join(RUN, `${name.split("/").at(-1).replace(":", "-")}.tar`);
  writeFileSync(file, ociArchive(name, [{ architecture: ARCHITECTURE, ...image }]));
  return file;
}

/** The image of the container that holds a pod's namespaces, as an archive. */
export function makePauseImage() {
  const content = readFileSync(join(BIN, "pause"));
  const layer = tarOf([{ path: "pause", mode: 0o755, content }]);
  return save(PAUSE_IMAGE, {
    layers: [layer],
    config: { Entrypoint: ["/pause"], User: "65535:65535" },
  });
}

function makeServersImage(node) {
  const files = layerOf({
    "/app": { from: ROOT, names: ["package.json", ...productionModules()] },
    "/app/test/fixtures": { from: join(ROOT, "test/fixtures"), names: ["servers"] },
  });
  const config = {
    Entrypoint: ["/usr/bin/node"],
    User: NOBODY,
    WorkingDir: "/app",
    Env: ["PATH=/usr/bin:/bin", "IMAGE_SAYS=hello"],
  };
  return save(IMAGES.servers, { layers: [accounts, node, files], config });
}

function makeSupervisorImage(node) {
  const names = ["package.json", "bin", "dist", "defaults", ...productionModules()];
  const files = layerOf({ "/app": { from: ROOT, names } });
  const program = ["--max-semi-space-size=2", "--no-warnings", "/app/bin/mcp-supervisor.js"];
  const config = {
    Entrypoint: ["/usr/bin/node", ...program],
    Cmd: ["serve"],
    User: "1000:1000",
    Env: ["PATH=/usr/bin:/bin", "MCP_SUPERVISOR_CONFIG=/etc/mcp-supervisor/supervisor.config.json"],
  };
  return save(IMAGES.supervisor, { layers: [accounts, node, files], config });
}

/** Archives of all images that tests use, from this checkout as it is built. */
export function makeImages() {
  const node = nodeLayer();
  const shim = join(RUN, "shim-test.tar");
  writeFileSync(shim, makeShimImage(join(ROOT, "dist/shim"), "test").archive);
  return [shim, makeServersImage(node), makeSupervisorImage(node)];
}
