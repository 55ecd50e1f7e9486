import type { Command } from "commander";
import type { RotatedAuthority } from "../api/types.ts";
import { counted } from "../errors.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer } from "./output.ts";

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

export function addKubernetesCommands(program: Command): void {
  const kubernetes = program
    .command("kubernetes")
    .description("what children that run as pods of a cluster need");
  kubernetes
    .command("rotate-ca")
    .description("make a new CA for the pods; the old one serves those that were born under it")
    .addHelpText("after", "\nExample:\n  mcp-supervisor kubernetes rotate-ca")
    .action(rotateCa);
}
