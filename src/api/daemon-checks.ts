import type { MachineReport } from "./types.ts";
import { fail, modeText, ok, warn } from "./finding.ts";
import type { Finding } from "./finding.ts";
import { gaps, level } from "./machine-checks.ts";

function key({ file, isCredential, mode }: MachineReport["key"]): Finding {
  const source = isCredential ? `systemd credential ${file}` : file;
  return mode === null
    ? fail(
        "key",
        `${source} is gone, and the daemon will not start again without it`,
        "put the key back from your backup",
      )
    : ok("key", `${source}, mode ${modeText(mode)}`);
}

function limits({ unkept, controllers, openFiles }: MachineReport): Finding[] {
  const delegated =
    controllers.length === 0
      ? "no cgroup is delegated, so the daemon itself watches over memory and processes"
      : `the kernel enforces those of ${controllers.join(", ")} (delegated cgroup)`;
  const files = openFiles === null ? "" : `; the daemon may have ${openFiles} files open`;
  return [
    ...unkept.map(({ server, limits: named }) =>
      warn(
        `limits of ${server}`,
        `${named.join(" and ")}: not in force`,
        "run the daemon as a systemd service with Delegate=cpu memory pids",
      ),
    ),
    ok(
      "limits",
      `${unkept.length === 0 ? "all that the config names are in force; " : ""}${delegated}${files}`,
    ),
  ];
}

const NAMES = {
  request: ["request", "requests"],
  session: ["session", "sessions"],
  child: ["child", "children"],
} as const;

/** Where the supervisor itself is at fault, and nobody but those named has felt it. */
function contained(counts: MachineReport["contained"]): Finding[] {
  if (counts.length === 0) return [];
  const ended = counts.map(({ owner, count }) => `${count} ${NAMES[owner][count === 1 ? 0 : 1]}`);
  return [
    warn(
      "failures of its own",
      `since it started, failures of the supervisor itself ended ${ended.join(", ")}`,
      'look for "contained" in the log, and report what you find there',
    ),
  ];
}

function sessions(why: string | null): Finding[] {
  if (!why) return [];
  const found = `they go on, but would not outlive the daemon: ${why}`;
  const next = "make room on the disk of dataDir; they are written down then by themselves";
  return [warn("sessions of clients", found, next)];
}

const POLICIES: Readonly<Record<NonNullable<MachineReport["policies"]>, Finding>> = {
  enforced: ok("network of pods", "the cluster enforces network policies: it was tried out"),
  assumed: ok("network of pods", '"networkPolicy": "assumed": nobody tried whether it is enforced'),
  open: warn(
    "network of pods",
    "the cluster enforces no network policies: pods reach each other, and all that the cluster reaches",
    'use a network plug-in that enforces them; servers with "network": "none" are refused until then',
  ),
  unknown: warn(
    "network of pods",
    "whether the cluster enforces network policies is not known yet",
    "look for lines with kubernetes in the log of the daemon; it is tried again every minute",
  ),
};

/** What only the running daemon knows. */
export function running(report: MachineReport): Finding[] {
  const { pid, version, isolation, exposed, troubled, refusing } = report;
  return [
    ok("daemon", `${version} runs as pid ${pid}, isolation in force: ${isolation}`),
    ...troubled.map(({ user, server, reason }) =>
      warn(`child of ${user}/${server}`, `the child ${reason}`, `mcp-supervisor doctor ${user}`),
    ),
    ...refusing.map(({ provider, reason }) =>
      warn(
        `provider ${provider}`,
        `it refuses the client, and no token of it is fetched: ${reason}`,
        "correct its clientId, secret or api, then mcp-supervisor reload",
      ),
    ),
    ...(report.policies === null ? [] : [POLICIES[report.policies]]),
    ...exposed.map((server) =>
      warn(
        `listener of ${server}`,
        `children of ${server} listen on more than loopback`,
        "let them listen on 127.0.0.1",
      ),
    ),
    ...sessions(report.unsavedSessions),
    ...contained(report.contained),
    ...limits(report),
    ...report.levels.map(level),
    ...gaps(report.gaps),
    key(report.key),
  ];
}
