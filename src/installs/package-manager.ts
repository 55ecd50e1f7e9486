import path from "node:path";
import { SupervisorError } from "../errors.ts";

const LAST_LINES = 20;

export interface Call {
  cwd: string;
  onOutput: (text: string) => void;
  env?: NodeJS.ProcessEnv;
}

/** npm beside the Node that runs this comes first. */
const searchPath = (): string => `${path.dirname(process.execPath)}:${process.env["PATH"] ?? ""}`;

/** Runs a package manager to its end; what it prints on stdout. INSTALL_FAILED with its last words unless it succeeds. */
export async function call(
  program: string,
  args: readonly string[],
  { cwd, onOutput, env = {} }: Call,
): Promise<string> {
  // A hundred files that a daemon, which never installs, need not load at its start.
  const { execa } = await import("execa");
  const child = execa(program, args, {
    cwd,
    // Registries, proxies and certificates are the admin's settings.
    env: { PATH: searchPath(), ...env },
    stdin: "ignore",
    all: true,
    reject: false,
    stripFinalNewline: false,
  });
  child.all.setEncoding("utf8").on("data", onOutput);
  const { stdout, all, exitCode, code, cause } = await child;
  if (exitCode === 0) return stdout;
  if (exitCode === undefined && code !== undefined)
    throw new SupervisorError(
      "INSTALL_FAILED",
      code === "ENOENT" ? `${program} is not installed` : `${program} cannot be run`,
      { cause },
    );
  throw new SupervisorError(
    "INSTALL_FAILED",
    `${program} failed (exit ${exitCode ?? "by a signal"})`,
    {
      details: all.trimEnd().split("\n").slice(-LAST_LINES),
    },
  );
}

/** The program that was asked for, else the only one, else the one that is called like the package. INSTALL_FAILED with the choice. */
export function chooseProgram(
  names: readonly string[],
  packageName: string,
  asked: string | undefined,
): string {
  const wanted = asked ?? (names.length === 1 ? names[0] : packageName);
  if (wanted !== undefined && names.includes(wanted)) return wanted;
  throw new SupervisorError(
    "INSTALL_FAILED",
    names.length === 0
      ? `${packageName} has no program to start`
      : `${packageName} has ${asked === undefined ? "several programs" : `no program ${asked}`}`,
    { details: names.length === 0 ? [] : [`--bin names one of: ${names.join(", ")}`] },
  );
}
