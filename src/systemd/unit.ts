/** What the unit files are made from; paths are absolute. */
export interface UnitFacts {
  /** The account that the daemon and, below level `user`, its children run as. */
  user: string;
  /** The command line of the daemon. */
  exec: readonly string[];
  dataDir: string;
  controlSocket: string;
  controlGroup: string | null;
  /** The key of the vault, handed over as a credential; null where the config names a file of its own. */
  keyFile: string | null;
  listen: { host: string; port: number };
  /** `main` where the daemon itself can send messages, `all` where a helper program must. */
  notifyAccess: "main" | "all";
  /** What calls under way have, and then children, before they are ended. */
  stopTimeoutMs: number;
  /** Whether something that the daemon needs lies in a home folder. */
  needsHomes: boolean;
}

export const SERVICE_UNIT = "mcp-supervisor.service";
export const SOCKET_UNIT = "mcp-supervisor.socket";
/** The first line of both files, by which they are known again. */
export const UNIT_MARK = "# Made by `mcp-supervisor service install`, which writes it anew.";

/** A word of a unit file. Percent signs would be specifiers; `JSON` quoting is what systemd reads, too (systemd.syntax(7)). */
function word(text: string): string {
  const plain = text.replaceAll("%", "%%");
  return /^[\w./@:+=,%-]+$/.test(plain) ? plain : JSON.stringify(plain);
}

/** A word of a command line, in which a dollar sign would begin a variable, too. */
const argument = (text: string): string => word(text).replaceAll("$", "$$$$");

/** `name=folder`, relative to the place that systemd keeps for it, where the folder lies there. */
function placed(setting: string, place: string, folder: string): string[] | undefined {
  if (!folder.startsWith(`${place}/`)) return undefined;
  return [`${setting}=${word(folder.slice(place.length + 1))}`];
}

/** What a unit of ours says of the daemon that it runs. */
export interface InstalledUnit {
  user: string;
  /** What it hands over as the vault's key; undefined where it leaves that to the config. */
  keyFile: string | undefined;
}

/** Undefined where the unit is somebody else's, or for another config. */
export function readUnit(unit: string, configFile: string): InstalledUnit | undefined {
  const isForIt = unit.includes(`--config ${argument(configFile)}\n`);
  if (!unit.startsWith(UNIT_MARK) || !isForIt) return undefined;
  const written = (setting: RegExp): string | undefined => {
    const text = setting.exec(unit)?.[1];
    if (text === undefined) return undefined;
    return (text.startsWith('"') ? (JSON.parse(text) as string) : text).replaceAll("%%", "%");
  };
  return {
    user: written(/^User=(.+)$/m)!,
    keyFile: written(/^LoadCredential=vault\.key:(.+)$/m),
  };
}

function folders({ dataDir, controlSocket, controlGroup }: UnitFacts): string[] {
  const state = placed("StateDirectory", "/var/lib", dataDir);
  const lines = state ? [...state, "StateDirectoryMode=0700"] : [`ReadWritePaths=${word(dataDir)}`];
  const socketFolder = controlSocket.replace(/\/[^/]*$/, "");
  if (socketFolder !== dataDir && !socketFolder.startsWith(`${dataDir}/`))
    lines.push(
      ...(placed("RuntimeDirectory", "/run", socketFolder) ?? [
        `ReadWritePaths=${word(socketFolder)}`,
      ]),
    );
  if (controlGroup !== null) lines.push(`SupplementaryGroups=${word(controlGroup)}`);
  return lines;
}

/** For all that the daemon does beside waiting for calls and for children. */
const STOP_SLACK_SECONDS = 20;

/** Closed as far as bubblewrap, slirp4netns and delegated cgroups allow. */
const confinement = (needsHomes: boolean): string => `CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=${needsHomes ? "read-only" : "yes"}
PrivateTmp=yes
# The private network of a sandbox that may call out is made by slirp4netns.
DevicePolicy=closed
DeviceAllow=/dev/net/tun rw
ProtectProc=invisible
# Not ProtectKernelTunables: it makes /proc/sys read-only, where bubblewrap forbids each sandbox further
# namespaces. An account without capabilities can change no tunable of the machine anyway.
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
# What bubblewrap needs: its namespaces, mounts in them, netlink to raise their loopback.
RestrictNamespaces=user mnt pid net ipc uts cgroup
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service @mount
SystemCallErrorNumber=EPERM
`;

/** The service: an ordinary account without a single capability. */
export function serviceUnit(facts: UnitFacts): string {
  const { user, exec, keyFile, notifyAccess, stopTimeoutMs, needsHomes } = facts;
  const credential = keyFile === null ? [] : [`LoadCredential=vault.key:${word(keyFile)}`];
  return `${UNIT_MARK}
# Changes of your own belong in a drop-in: systemctl edit mcp-supervisor
[Unit]
Description=MCP supervisor: one MCP server per user
Wants=${SOCKET_UNIT} network-online.target
After=${SOCKET_UNIT} network-online.target
# Never given up on, unless it says that its config is wrong (78).
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=${notifyAccess}
ExecStart=${exec.map(argument).join(" ")}
ExecReload=/bin/sh -c "kill -HUP $$MAINPID"
User=${user}
${[...credential, ...folders(facts)].join("\n")}
UMask=0077
Restart=always
RestartSec=1s
RestartPreventExitStatus=78
# With the listener open, every client that knocks would start it once more on the same bad config.
ExecStopPost=+/bin/sh -c '[ "$$EXIT_STATUS" != 78 ] || systemctl --no-block stop ${SOCKET_UNIT}'
WatchdogSec=30s
TimeoutStartSec=180s
TimeoutStopSec=${2 * Math.ceil(stopTimeoutMs / 1000) + STOP_SLACK_SECONDS}s

# The daemon ends its children in order; whatever is left then is killed. One child that runs out of
# memory is the end of that child only.
KillMode=mixed
OOMPolicy=continue
Delegate=cpu memory pids
MemoryAccounting=yes
TasksMax=16384
LimitNOFILE=65536
LimitCORE=0

${confinement(needsHomes)}
[Install]
WantedBy=multi-user.target
Also=${SOCKET_UNIT}
`;
}

/** As `ListenStream=` wants it, which knows no names. */
function listenStream({ host, port }: UnitFacts["listen"]): string {
  const address = host === "localhost" ? "127.0.0.1" : host;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The gateway's listener, which stays open while the service restarts, so that nobody is refused. */
export function socketUnit({ listen }: UnitFacts): string {
  return `${UNIT_MARK}
[Unit]
Description=Gateway of the MCP supervisor

[Socket]
ListenStream=${listenStream(listen)}
FileDescriptorName=gateway
Backlog=4096
NoDelay=yes
# The address may come up later than this.
FreeBind=yes

[Install]
WantedBy=sockets.target
`;
}
