// From nothing to a first call of an own FastMCP server that asks a service of the machine, on a plain
// Debian: by the package and by the tarball, in at most five commands. What is typed and said is printed.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { connect } from "node:net";
import { serving, until } from "./system.ts";

const PYTHON = "/srv/own/venv/bin/python";
const SERVER = `import os
import urllib.request

from fastmcp import FastMCP

mcp = FastMCP("own")


@mcp.tool
def inbox() -> str:
    """The user's mail, as the service of this machine has it."""
    headers = {"Authorization": os.environ["USER_ACCESS_TOKEN"]}
    request = urllib.request.Request(os.environ["API_URL"], headers=headers)
    return urllib.request.urlopen(request).read().decode()


mcp.run()
`;
const SERVICE = `from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"mail for {self.headers['authorization']}".encode())


HTTPServer(("127.0.0.1", 8030), Handler).serve_forever()
`;
const ENTRY = {
  command: PYTHON,
  args: ["server.py"],
  cwd: "/srv/own",
  env: { API_URL: "http://127.0.0.1:8030" },
  reach: [8030],
};

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });

const fileIn = (ending: string): string =>
  `/opt/${readdirSync("/opt").find((name) => name.endsWith(ending))!}`;

/** A person at a terminal of the machine: what is typed, and what is said to it. */
class Terminal {
  readonly #program: string;
  readonly #args: readonly string[];
  typed = 0;

  /** `as`: what makes the shell another account's. */
  constructor(...as: string[]) {
    const [program, ...args] = [...as, "sh", "-c"];
    this.#program = program;
    this.#args = args;
  }

  type(command: string): string {
    this.typed += 1;
    const args = [...this.#args, `exec 2>&1; ${command}`];
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" };
    const { status, stdout } = spawnSync(this.#program, args, { encoding: "utf8", env });
    console.log(`$ ${command}\n${stdout}`);
    assert.equal(status, 0, `${command}\n${stdout}`);
    return stdout;
  }

  /** What goes on until it is told to end. */
  keepRunning(command: string): () => Promise<void> {
    this.typed += 1;
    console.log(`$ ${command} &\n`);
    const child = spawn(this.#program, [...this.#args, `exec ${command}`], { stdio: "ignore" });
    return async () => {
      child.kill();
      await once(child, "close");
    };
  }
}

const service = spawn("/usr/bin/python3", ["-c", SERVICE], { stdio: "ignore" });
service.unref();
process.on("exit", () => service.kill());

test("by the package: five commands, and the fifth is the call", async () => {
  writeFileSync("/srv/own/server.py", SERVER);
  writeFileSync("/srv/own/own.json", JSON.stringify({ mcpServers: { own: ENTRY } }, null, 2));
  await until(() => isOpen(8030), "the service of the machine is there");
  const terminal = new Terminal();
  terminal.type(`apt-get -qq -y install ${fileIn(".deb")}`);
  await serving();
  terminal.type("mcp-supervisor server import /srv/own/own.json");
  terminal.type("echo token-of-alice | mcp-supervisor user add alice --token-stdin");
  terminal.type("mcp-supervisor user grant alice own");
  const said = terminal.type("mcp-supervisor call alice inbox --server own");
  assert.match(said, /^mail for token-of-alice$/m);
  assert.equal(terminal.typed, 5);
  spawnSync("apt-get", ["-qq", "-y", "purge", "mcp-supervisor"]);
  assert.ok(!existsSync("/usr/bin/mcp-supervisor"));
});

test("by the tarball, as an ordinary account: five commands, and the fifth is the call", async () => {
  const root = new Terminal();
  root.type(`npm install --silent -g ${fileIn(".tgz")}`);
  spawnSync("useradd", ["--create-home", "dev"]);
  const dev = new Terminal(
    ..."setpriv --reuid=dev --regid=dev --init-groups env -C /home/dev HOME=/home/dev".split(" "),
  );
  dev.type("echo token | mcp-supervisor init --yes --from /srv/own/own.json --token-stdin");
  const end = dev.keepRunning("mcp-supervisor serve");
  try {
    await until(() => isOpen(8040), "it serves");
    dev.type("echo token-of-bob | mcp-supervisor user add bob --token-stdin");
    assert.match(dev.type("mcp-supervisor call bob inbox"), /^mail for token-of-bob$/m);
    assert.equal(root.typed + dev.typed, 5);
  } finally {
    await end();
  }
});
