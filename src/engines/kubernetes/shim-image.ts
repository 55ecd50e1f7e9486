import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SupervisorError } from "../../errors.ts";
import { ociArchive } from "../../platform/oci-archive.ts";
import type { OciImage } from "../../platform/oci-archive.ts";
import { tarOf } from "../../platform/tar.ts";

/** The kinds of machine that children can run on. */
const ARCHITECTURES = ["amd64", "arm64"];
/** Where the image has the shim; a pod's init container copies it from there. */
const SHIM_PATH = "/shim";
/** Not root, and nobody's whose files matter. */
const USER = "65532:65532";

function readShim(folder: string, architecture: string): Buffer {
  const file = join(folder, `linux-${architecture}`);
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new SupervisorError(
      "SHIM_MISSING",
      `${file} is not there: this copy of mcp-supervisor was built without Go, and so without the shim that goes into pods; take a released package, or install Go and build it again`,
      { cause },
    );
  }
}

export interface ShimImage {
  readonly name: string;
  readonly archive: Buffer;
}

/** The image that brings the shim into pods, from the programs in `folder`. */
export function makeShimImage(folder: string, version: string): ShimImage {
  const name = `localhost/mcp-supervisor/shim:${version}`;
  const images = ARCHITECTURES.map((architecture): OciImage => {
    const content = readShim(folder, architecture);
    const layer = tarOf([{ path: SHIM_PATH.slice(1), mode: 0o755, content }]);
    return { architecture, layers: [layer], config: { Entrypoint: [SHIM_PATH], User: USER } };
  });
  return { name, archive: ociArchive(name, images) };
}
