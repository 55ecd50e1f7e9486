import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import type { RotatedAuthority } from "../api/types.ts";
import { SupervisorError, counted } from "../errors.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer } from "./output.ts";
import { readVersion } from "./version.ts";

async function rotateCa(_options: object, command: Command): Promise<void> {
  const client = await clientFor(command);
  const done = await client.call<RotatedAuthority>("POST", apiPath(["kubernetes", "rotate-ca"]));
  const { number, older } = done;
  answer(command, done, [
    `Pods are born under CA ${number} from now on.`,
    older === 0
      ? "No pod of an earlier one is left."
      : `${counted(older, "pod goes", "pods go")} on under the one before, until their servers are restarted: \`mcp-supervisor restart NAME --graceful\`.`,
  ]);
}

function writeImage(
  file: string,
  content: Uint8Array,
  { putInPlace }: typeof import("../platform/atomic-file.ts"),
): void {
  try {
    putInPlace(file, (draft) => writeFileSync(draft, content));
  } catch (cause) {
    const { code = "unknown reason" } = cause as NodeJS.ErrnoException;
    throw new SupervisorError("USAGE", `${file}: cannot be written (${code})`, { cause });
  }
}

/** Needs no daemon, and no config: it is made before there is either. */
async function image({ output }: { output: string }, command: Command): Promise<void> {
  const [{ makeShimImage }, { PACKAGE_FOLDER }, files] = await Promise.all([
    import("../engines/kubernetes/shim-image.ts"),
    import("../platform/package-folder.ts"),
    import("../platform/atomic-file.ts"),
  ]);
  const file = resolve(output);
  const { name, archive } = makeShimImage(join(PACKAGE_FOLDER, "dist", "shim"), readVersion());
  writeImage(file, archive, files);
  const lines = [
    `${file}: the image ${name}, for amd64 and arm64.`,
    "Load it on every node, as by: sudo ctr -n k8s.io images import FILE",
    "or push it:                   skopeo copy --all oci-archive:FILE docker://REGISTRY/NAME:TAG",
    'and name it in the config:    "kubernetes": { "shimImage": "…" }',
  ];
  answer(command, { file, name, bytes: archive.length }, lines);
}

export function addKubernetesCommands(program: Command): void {
  const kubernetes = program
    .command("kubernetes")
    .description("what children that run as pods of a cluster need");
  kubernetes
    .command("image")
    .description("write the image that brings the shim into pods, to load onto nodes or to push")
    .requiredOption("-o, --output <file>", "the OCI archive to write")
    .addHelpText("after", "\nExample:\n  mcp-supervisor kubernetes image -o shim.tar")
    .action(image);
  kubernetes
    .command("rotate-ca")
    .description("make a new CA for the pods; the old one serves those that were born under it")
    .addHelpText("after", "\nExample:\n  mcp-supervisor kubernetes rotate-ca")
    .action(rotateCa);
}
