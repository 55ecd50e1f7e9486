import { spawn } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const FOLDER = here("../../node_modules/.cache/interop");
const REQUIREMENTS = here("requirements.txt");

/** Something that this machine lacks; its message is one sentence for whoever started the run. */
export class MissingError extends Error {}

export interface Python {
  /** The folder of the environment's programs, `python` among them. */
  bin: string;
  /** Runs a script with `input` on stdin; resolves with its stdout, rejects with its stderr. */
  run: (script: string, input: string) => Promise<string>;
}

interface Done {
  code: number | null;
  output: string;
  trouble: string;
}

async function run(command: string, args: string[], input = ""): Promise<Done> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
  const exit = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject).once("close", resolve);
  });
  child.stdin.on("error", () => {}).end(input);
  const [output, trouble, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  return { code, output, trouble };
}

async function must(sentence: string, command: string, args: string[]): Promise<string> {
  const done = await run(command, args).catch((error: Error) => error.message);
  if (typeof done === "string") throw new MissingError(`${sentence} (${done})`);
  const { code, output, trouble } = done;
  if (code === 0) return output;
  throw new MissingError(`${sentence} (${trouble.trim().split("\n").at(-1) ?? `exit ${code}`})`);
}

// No release of FastMCP can be run as `python -m fastmcp`, only as `python -m fastmcp.cli`; the
// people this is for do write the former, so the environment makes it work.
const AS_MODULE = "from fastmcp.cli import app\n\napp()\n";
const WHERE_IS_FASTMCP =
  "import importlib.util; print(importlib.util.find_spec('fastmcp').submodule_search_locations[0])";

/**
 * The Python environment of the interop tests: made on first use and whenever the requirements or
 * the machine's Python have changed. Rejects with a `MissingError` if Python or the packages are not to be had.
 */
export async function openPython(): Promise<Python> {
  const version = await must(
    "interop needs python3, version 3.10 or newer, on the PATH",
    "python3",
    ["-c", "import sys; assert sys.version_info >= (3, 10), sys.version; print(sys.version)"],
  );
  const bin = join(FOLDER, "bin");
  const python = join(bin, "python");
  const stamp = join(FOLDER, "made-from");
  const madeFrom = `${version}${await readFile(REQUIREMENTS, "utf8")}${AS_MODULE}`;
  if ((await readFile(stamp, "utf8").catch(() => "")) !== madeFrom) {
    console.log("# making a Python environment, about half a minute");
    await rm(FOLDER, { recursive: true, force: true });
    await mkdir(FOLDER, { recursive: true });
    await must("interop cannot make a virtual environment with python3 -m venv", "python3", [
      "-m",
      "venv",
      FOLDER,
    ]);
    const quiet = ["--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20"];
    const install = ["-m", "pip", "install", ...quiet, "-r", REQUIREMENTS];
    await must("interop cannot get its Python packages from the package index", python, install);
    const fastmcp = await must("interop cannot find FastMCP", python, ["-c", WHERE_IS_FASTMCP]);
    await writeFile(join(fastmcp.trim(), "__main__.py"), AS_MODULE);
    await writeFile(stamp, madeFrom);
  }
  return {
    bin,
    run: async (script, input) => {
      const { code, output, trouble } = await run(python, [script], input);
      if (code !== 0) throw new Error(`${script}: exit ${code}\n${trouble}`);
      return output;
    },
  };
}
