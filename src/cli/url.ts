import { Option } from "commander";
import type { Command } from "commander";
import type { Urls } from "../api/types.ts";
import { SupervisorError } from "../errors.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer } from "./output.ts";
import { CLIENTS, snippetOf, snippetsFor, wantedOf } from "../web/snippets.ts";
import type { ClientId } from "../web/snippets.ts";

/** A user's URLs for people, two lines a server: one for each front. */
export function urlLines({ urls }: Pick<Urls, "urls">): string[] {
  const width = Math.max(0, ...urls.map(({ server }) => server.length));
  return urls.flatMap(({ server, sse, http }) => [
    `  ${server.padEnd(width)}  sse   ${sse}`,
    `  ${"".padEnd(width)}  http  ${http}`,
  ]);
}

interface Options {
  server?: string;
  client?: ClientId;
  write?: string | true;
  keyStdin?: boolean;
  yes?: boolean;
}

async function url(name: string, options: Options, command: Command): Promise<void> {
  const { server, client: asked, write, ...more } = options;
  if (write === undefined && (more.keyStdin ?? more.yes) !== undefined)
    throw new SupervisorError("USAGE", "--key-stdin and --yes are for --write");
  if (write !== undefined) {
    if (asked === undefined)
      throw new SupervisorError("USAGE", "whose file is to be written? name it with --client");
    const { requireFile } = await import("./client-file/write.ts");
    requireFile(asked);
  }
  const client = await clientFor(command);
  const found = await client.call<Urls>("GET", apiPath(["users", name, "urls"], { server }));
  const rows = found.urls.map((row) => wantedOf(row, found.transports[row.server]));
  const { user, urls } = found;
  if (asked !== undefined && write !== undefined) {
    const { writeClientFile } = await import("./client-file/write.ts");
    return await writeClientFile(command, { user, rows }, { client: asked, write, ...more });
  }
  const snippets = rows
    .flatMap(snippetsFor)
    .filter(({ id }) => asked === undefined || id === asked);
  if (asked !== undefined)
    return answer(command, { user, urls, snippets }, [snippetOf(asked, rows)]);
  answer(command, { user, urls, snippets }, [
    ...urlLines(found),
    "",
    "The snippets take the access key from MCPS_KEY, or have YOUR_ACCESS_KEY where it goes:",
    "  read -rs MCPS_KEY && export MCPS_KEY",
    ...snippets.flatMap((snippet) => [
      "",
      `# ${snippet.server}: ${snippet.client} (${snippet.where})`,
      snippet.text,
    ]),
  ]);
}

export function addUrlCommand(program: Command): void {
  const ids = CLIENTS.map(({ id }) => id);
  program
    .command("url <name>")
    .description("print a user's personal URLs and snippets for clients, without the secret")
    .option("--server <server>", "of this server only")
    .addOption(new Option("--client <client>", "only what this client is told").choices(ids))
    .option("--write [file]", "merge it into that client's own file, or this one")
    .option("--key-stdin", "with --write: put the access key, read from stdin, into the file")
    .option("--yes", "with --write: do not ask, as a terminal is asked")
    .addHelpText(
      "after",
      "\nExample:\n  mcp-supervisor url alice --server gmail\n  mcp-supervisor url alice --client cursor --write",
    )
    .action(url);
}
