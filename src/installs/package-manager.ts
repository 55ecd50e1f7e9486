import { spawn } from "node:child_process";
import { once } from "node:events";
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
  const child = spawn(program, args, {
    cwd,
    // Registries, proxies and certificates are the admin's settings.
    env: { ...process.env, PATH: searchPath(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    said += text;
    onOutput(text);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    onOutput(text);
  });
  const [code] = (await once(child, "close").catch((cause: NodeJS.ErrnoException) => {
    throw new SupervisorError(
      "INSTALL_FAILED",
      cause.code === "ENOENT" ? `${program} is not installed` : `${program} cannot be run`,
      { cause },
    );
  })) as [number | null];
  if (code === 0) return stdout;
  throw new SupervisorError("INSTALL_FAILED", `${program} failed (exit ${code ?? "by a signal"})`, {
    details: said.trimEnd().split("\n").slice(-LAST_LINES),
  });
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
