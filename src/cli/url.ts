import type { Command } from "commander";
import type { Urls } from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer } from "./output.ts";
import { snippetsFor } from "../web/snippets.ts";

/** A user's URLs for people, two lines a server: one for each front. */
export function urlLines({ urls }: Pick<Urls, "urls">): string[] {
  const width = Math.max(0, ...urls.map(({ server }) => server.length));
  return urls.flatMap(({ server, sse, http }) => [
    `  ${server.padEnd(width)}  sse   ${sse}`,
    `  ${"".padEnd(width)}  http  ${http}`,
  ]);
}

async function url(name: string, options: { server?: string }, command: Command): Promise<void> {
  const client = await clientFor(command);
  const path = apiPath(["users", name, "urls"], { server: options.server });
  const found = await client.call<Urls>("GET", path);
  const snippets = found.urls.flatMap((row) =>
    snippetsFor({
      row,
      front: found.transports[row.server] === "sse" ? "sse" : "http",
    }),
  );
  answer(command, { user: found.user, urls: found.urls, snippets }, [
    ...urlLines(found),
    "",
    "The snippets take the access key from MCPS_KEY, or have YOUR_ACCESS_KEY where it goes:",
    "  read -rs MCPS_KEY && export MCPS_KEY",
    ...snippets.flatMap(({ server, client: name_, where, text }) => [
      "",
      `# ${server}: ${name_} (${where})`,
      text,
    ]),
  ]);
}

export function addUrlCommand(program: Command): void {
  program
    .command("url <name>")
    .description("print a user's personal URLs and snippets for clients, without the secret")
    .option("--server <server>", "of this server only")
    .addHelpText("after", "\nExample:\n  mcp-supervisor url alice --server gmail")
    .action(url);
}
