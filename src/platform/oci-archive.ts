import { createHash } from "node:crypto";
import { tarOf } from "./tar.ts";
import type { TarFile } from "./tar.ts";

/** An image for one kind of machine, as the OCI's specification has it. */
export interface OciImage {
  readonly architecture: string;
  /** Tar archives. Not compressed, because what gzip makes of the same bytes differs between versions of it. */
  readonly layers: readonly Uint8Array[];
  readonly config: {
    readonly Entrypoint: readonly string[];
    readonly Cmd?: readonly string[];
    readonly User: string;
    readonly WorkingDir?: string;
    readonly Env?: readonly string[];
    readonly Labels?: Readonly<Record<string, string>>;
  };
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: { architecture: string; os: "linux" };
  readonly annotations?: Record<string, string>;
}

const INDEX = "application/vnd.oci.image.index.v1+json";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const CONFIG = "application/vnd.oci.image.config.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar";

const digestOf = (content: Uint8Array): string =>
  `sha256:${createHash("sha256").update(content).digest("hex")}`;
const jsonOf = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

const file = (path: string, content: Uint8Array): TarFile => ({ path, mode: 0o644, content });

class Blobs {
  readonly #byDigest = new Map<string, Uint8Array>();

  add(mediaType: string, content: Uint8Array): Descriptor {
    const digest = digestOf(content);
    this.#byDigest.set(digest, content);
    return { mediaType, digest, size: content.length };
  }

  files(): TarFile[] {
    return Array.from(this.#byDigest, ([digest, content]) =>
      file(`blobs/${digest.replace(":", "/")}`, content),
    );
  }
}

function addImage(blobs: Blobs, { architecture, layers, config }: OciImage): Descriptor {
  const platform = { architecture, os: "linux" } as const;
  const rootfs = { type: "layers", diff_ids: layers.map(digestOf) };
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: blobs.add(CONFIG, jsonOf({ ...platform, config, rootfs })),
    layers: layers.map((layer) => blobs.add(LAYER, layer)),
  };
  return { ...blobs.add(MANIFEST, jsonOf(manifest)), platform };
}

/**
 * An archive that `ctr image import`, `k3s ctr images import`, `kind load image-archive` and skopeo
 * take: one image under `name` (`registry/repository:tag`), for as many kinds of machine as given.
 * The same images make the same bytes.
 */
export function ociArchive(name: string, images: readonly OciImage[]): Buffer {
  const blobs = new Blobs();
  const manifests = images.map((image) => addImage(blobs, image));
  const all = blobs.add(INDEX, jsonOf({ schemaVersion: 2, mediaType: INDEX, manifests }));
  const annotations = {
    "io.containerd.image.name": name,
    "org.opencontainers.image.ref.name": name.slice(name.lastIndexOf(":") + 1),
  };
  const index = { schemaVersion: 2, mediaType: INDEX, manifests: [{ ...all, annotations }] };
  return tarOf([
    file("oci-layout", jsonOf({ imageLayoutVersion: "1.0.0" })),
    file("index.json", jsonOf(index)),
    ...blobs.files(),
  ]);
}
