import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeShimImage } from "../../src/engines/kubernetes/shim-image.ts";
import { SupervisorError } from "../../src/errors.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  platform?: { architecture: string };
  annotations?: Record<string, string>;
}
interface Manifest {
  config: Descriptor;
  layers: Descriptor[];
  manifests: Descriptor[];
}

/** Unpacks by the system's tar, which is not ours. */
function unpack(archive: string, folder: string): string {
  mkdirSync(folder);
  execFileSync("tar", ["-xf", archive, "-C", folder]);
  return folder;
}

/** What a descriptor names, as it says. */
function follow(image: string, { digest, size }: Descriptor): Buffer {
  const content = readFileSync(join(image, "blobs", digest.replace(":", "/")));
  assert.equal(content.length, size);
  assert.equal(`sha256:${createHash("sha256").update(content).digest("hex")}`, digest);
  return content;
}

const parse = (content: Buffer): Manifest => JSON.parse(content.toString()) as Manifest;

test("the image has the shim of each kind of machine, under one name", (t) => {
  const folder = temporaryFolder(t);
  for (const name of ["amd64", "arm64"])
    writeFileSync(join(folder, `linux-${name}`), `a shim for ${name}`.repeat(100));
  const { name, archive } = makeShimImage(folder, "1.2.3");
  assert.equal(name, "localhost/mcp-supervisor/shim:1.2.3");
  const file = join(folder, "image.tar");
  writeFileSync(file, archive);
  const image = unpack(file, join(folder, "image"));

  const [all] = parse(readFileSync(join(image, "index.json"))).manifests;
  assert.equal(all?.annotations?.["io.containerd.image.name"], name);
  const { manifests } = parse(follow(image, all));
  assert.deepEqual(
    manifests.map(({ platform }) => platform?.architecture),
    ["amd64", "arm64"],
  );
  for (const descriptor of manifests) {
    const { architecture } = descriptor.platform!;
    const { config, layers } = parse(follow(image, descriptor));
    const told = JSON.parse(follow(image, config).toString()) as {
      architecture: string;
      config: object;
      rootfs: { diff_ids: string[] };
    };
    assert.equal(told.architecture, architecture);
    assert.deepEqual(told.config, { Entrypoint: ["/shim"], User: "65532:65532" });
    assert.deepEqual(
      told.rootfs.diff_ids,
      layers.map(({ digest }) => digest),
    );
    const layer = join(folder, `${architecture}.tar`);
    writeFileSync(layer, follow(image, layers[0]!));
    const root = unpack(layer, join(folder, architecture));
    assert.equal(
      readFileSync(join(root, "shim"), "utf8"),
      `a shim for ${architecture}`.repeat(100),
    );
    assert.equal(statSync(join(root, "shim")).mode & 0o777, 0o755);
  }
  assert.ok(makeShimImage(folder, "1.2.3").archive.equals(archive), "the same bytes each time");
});

test("a package that was built without Go says so when it is asked for the image", (t) => {
  const folder = temporaryFolder(t);
  assert.throws(
    () => makeShimImage(folder, "1.2.3"),
    (error: Error) => {
      assert.ok(error instanceof SupervisorError && error.code === "SHIM_MISSING");
      assert.match(error.message, /linux-amd64 is not there: .* built without Go/);
      return true;
    },
  );
});
