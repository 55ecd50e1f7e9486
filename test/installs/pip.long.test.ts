import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runCli } from "../helpers/daemon.ts";
import { isInstalled } from "../helpers/installed.ts";
import { temporaryFolder } from "../helpers/store.ts";

/** Writes a built package with one program in it; such a file is a zip with a few texts. */
const WHEEL = `import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + "/tiny_server-1.0.0-py3-none-any.whl", "w") as wheel:
    info = "tiny_server-1.0.0.dist-info/"
    wheel.writestr("tiny_server.py", "def main():\\n    print('hello from Python')\\n")
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: tiny-server\\nVersion: 1.0.0\\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(info + "entry_points.txt", "[console_scripts]\\ntiny-server = tiny_server:main\\n")
    wheel.writestr(info + "RECORD", "")
`;

const hasVenv = spawnSync("python3", ["-c", "import venv, ensurepip"]).status === 0;

/** The folders of PATH, without those that have uv. */
const withoutUv = (): string =>
  (process.env["PATH"] ?? "")
    .split(":")
    .filter((folder) => !existsSync(join(folder, "uv")))
    .join(":");

interface Way {
  name: string;
  /** Why it cannot be tried here, else false. */
  cannot: string | false;
  /** How it is told to look into a folder and nowhere else. */
  env: (wheels: string) => Record<string, string>;
}

const WAYS: Way[] = [
  {
    name: "pip",
    cannot: hasVenv ? false : "python3 with venv is not installed",
    env: (wheels) => ({ PATH: withoutUv(), PIP_NO_INDEX: "1", PIP_FIND_LINKS: wheels }),
  },
  {
    name: "uv",
    cannot: isInstalled("uv") ? false : "uv is not on the PATH",
    env: (wheels) => ({ UV_OFFLINE: "1", UV_NO_INDEX: "1", UV_FIND_LINKS: wheels }),
  },
];

for (const { name, cannot, env } of WAYS) {
  test(`by ${name} a Python package gets an environment of its own, read-only and with a recipe that starts it`, async (t) => {
    if (cannot !== false) return t.skip(cannot);
    const dir = temporaryFolder(t);
    const wheels = join(dir, "wheels");
    mkdirSync(wheels);
    assert.equal(spawnSync("python3", ["-c", WHEEL, wheels]).status, 0);
    const config = join(dir, "supervisor.config.json");
    writeFileSync(config, JSON.stringify({ servers: { tiny: { command: "true" } } }));
    const run = (...args: string[]) =>
      runCli(["package", "install", "tiny", ...args, "--json", "--config", config], {
        env: env(wheels),
      });

    const done = (await run("--pip", "tiny-server==1.0.0")).json<{
      folder: string;
      config: Record<string, { command: string }>;
    }>();
    const { stdout } = spawnSync(done.config["tiny"]!.command, { encoding: "utf8" });
    assert.equal(stdout, "hello from Python\n");
    const writable = spawnSync("find", [done.folder, "-perm", "/222", "!", "-type", "l"]);
    assert.equal(writable.stdout.toString(), "");
    // uv makes environments without pip, which tells who made this one.
    const made = existsSync(join(done.folder, "venv/bin/pip")) ? "pip" : "uv";
    assert.equal(made, name);

    const failed = await run("--pip", "tiny-server==2.0.0");
    assert.equal(failed.error().type, "INSTALL_FAILED");
    assert.match(failed.error().details?.join("\n") ?? "", /2\.0\.0/);
    return undefined;
  });
}
