import { Option } from "commander";
import type { Command } from "commander";
import type { Status, StatusRow } from "../api/types.ts";
import { counted } from "../errors.ts";
import { roughDuration } from "../platform/durations.ts";
import { gibibytes, mebibytes } from "../platform/sizes.ts";
import { apiPath, clientFor } from "./client.ts";
import { INSTANCE_COLUMNS, instanceTable } from "./instance-table.ts";
import { answer, globalsOf } from "./output.ts";
import { leavingText } from "./table.ts";
import { viewHere } from "./view.ts";
import type { Line, View } from "./view.ts";
import { watch } from "./watch.ts";

const ORDERS = {
  memory: ({ rssBytes }: StatusRow) => rssBytes ?? -1,
  idle: ({ idleSeconds }: StatusRow) => idleSeconds ?? -1,
  calls: ({ inFlight }: StatusRow) => inFlight,
};

interface Options {
  failing?: boolean;
  server?: string;
  sort?: keyof typeof ORDERS;
  watch?: boolean;
}

/** The rows that were asked for, in the order that was asked for: the most first. */
function chosen(instances: readonly StatusRow[], { failing, sort }: Options): StatusRow[] {
  const rows = instances.filter((row) => failing !== true || row.failing);
  if (sort === undefined) return rows;
  const order = ORDERS[sort];
  return rows.toSorted((a, b) => order(b) - order(a));
}

/** `3.1 of 8 GiB`, `46 MiB of 8 GiB`. */
function memoryText({ usedBytes, limitBytes }: Status["memory"]): string {
  const used = gibibytes(usedBytes);
  const isSmall = used === "0" && usedBytes > 0;
  return `${isSmall ? `${mebibytes(usedBytes)} MiB` : used} of ${gibibytes(limitBytes)} GiB`;
}

/** `212 users, 40 running, 2 failing, 3.1 of 8 GiB`. */
function summaryOf({ users, instances, memory }: Status): Line {
  const running = instances.filter(({ pid, place }) => pid !== null || place !== null).length;
  const failing = instances.filter((row) => row.failing).length;
  const failingText = `${failing} failing`;
  return [
    `${counted(users, "user")}, ${running} running, `,
    failing > 0 ? { text: failingText, tone: "bad" } : failingText,
    `, ${memoryText(memory)}`,
  ];
}

/** What `status` shows: how things stand with all that it found, and of that the rows that were chosen. */
export function statusScreen(found: Status, rows: readonly StatusRow[], view: View): Line[] {
  const isAll = rows.length === found.instances.length;
  const { version, pid, uptimeSeconds, isolation, queue } = found;
  return [
    `mcp-supervisor ${version}, pid ${pid}, up ${roughDuration(uptimeSeconds)}, isolation ${isolation}`,
    summaryOf(found),
    ...(queue.waiting > 0
      ? [
          `starts of children: ${queue.starting} under way, ${counted(queue.waiting, "waits for its", "wait for their")} turn`,
        ]
      : []),
    ...(rows.length === 0 && !isAll ? ["None is failing."] : instanceTable(rows, view)),
  ];
}

async function status(name: string | undefined, options: Options, command: Command): Promise<void> {
  const client = await clientFor(command);
  const path = apiPath(["status"], { user: name, server: options.server });
  const look = async (): Promise<() => void> => {
    const found = await client.call<Status>("GET", path);
    const rows = chosen(found.instances, options);
    return () =>
      answer(command, { ...found, instances: rows }, statusScreen(found, rows, viewHere()));
  };
  if (options.watch === true) await watch(look, globalsOf(command).json);
  else (await look())();
}

export function addStatusCommand(program: Command): void {
  program
    .command("status [name]")
    .description("show the daemon and its instances, or one user's")
    .option("--failing", "only what is down after failures, or at a limit")
    .option("--server <server>", "of this server only")
    .addOption(new Option("--sort <by>", "the most first").choices(Object.keys(ORDERS)))
    .option("--watch", "again every two seconds, until Ctrl-C")
    .addHelpText(
      "after",
      `${leavingText(INSTANCE_COLUMNS)}\nExample:\n  mcp-supervisor status alice\n  mcp-supervisor status --failing --watch`,
    )
    .action(status);
}
