/** What goes before a command line, into its environment and behind its three streams, for it to be handed a listener as systemd does that. */
export function handOver(listenFd: number | undefined): {
  through: readonly string[];
  env: NodeJS.ProcessEnv;
  files: readonly number[];
} {
  if (listenFd === undefined) return { through: [], env: {}, files: [] };
  // It names the process that it is meant for, which only that knows before it is there.
  const through = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"];
  return { through, env: { LISTEN_FDS: "1" }, files: [listenFd] };
}
