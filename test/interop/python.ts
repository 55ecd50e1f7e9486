import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder, must, run } from "./programs.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const FOLDER = cacheFolder("interop");
const REQUIREMENTS = here("requirements.txt");

export interface Python {
  /** The folder of the environment's programs, `python` among them. */
  bin: string;
  /** Runs a script with `input` on stdin; resolves with its stdout, rejects with its stderr. */
  run: (script: string, input: string) => Promise<string>;
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
      const { code, output, trouble } = await run(python, [script], { input });
      if (code !== 0) throw new Error(`${script}: exit ${code}\n${trouble}`);
      return output;
    },
  };
}
