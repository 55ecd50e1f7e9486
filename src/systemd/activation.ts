/** systemd hands over listeners from this descriptor on (sd_listen_fds(3)). */
const FIRST_FD = 3;

/** A listening socket that the service manager opened before this process began. */
export interface HandedListener {
  fd: number;
  /** `FileDescriptorName=` of the socket unit; the unit's own name where it sets none. */
  name: string;
}

const VARIABLES = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] as const;

/**
 * The listeners that are meant for this process (sd_listen_fds(3)); none where the variables name
 * another process. Takes the variables out of `env`, so that no child believes they are its own. The
 * sockets themselves do not reach children: Node closes inherited descriptors on exec.
 */
export function takeListeners(env: NodeJS.ProcessEnv, pid = process.pid): HandedListener[] {
  const [count, forPid, names = ""] = VARIABLES.map((name) => env[name]);
  for (const name of VARIABLES) delete env[name];
  if (!/^[1-9]\d{0,2}$/.test(count ?? "") || forPid !== String(pid)) return [];
  const nameOf = names.split(":");
  return Array.from({ length: Number(count) }, (_, index) => ({
    fd: FIRST_FD + index,
    name: nameOf[index] ?? "",
  }));
}

/** The descriptor of the listener with that name; one that came alone is meant whatever its name. */
export function listenerNamed(
  name: string,
  listeners: readonly HandedListener[],
): number | undefined {
  const found = listeners.find((listener) => listener.name === name);
  return (found ?? (listeners.length === 1 ? listeners[0] : undefined))?.fd;
}
