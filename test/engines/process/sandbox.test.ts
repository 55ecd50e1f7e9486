import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { renameSync, symlinkSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { spawnSync } from "node:child_process";
import { get } from "node:http";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { NOBODY } from "../../../src/engines/process/confinement.ts";
import type { Sandbox } from "../../../src/engines/process/confinement.ts";
import type { Limits } from "../../../src/engines/process/limits.ts";
import { heldBytes } from "../../../src/engines/process/held-memory.ts";
import { filesFor } from "../../../src/engines/process/memory-files.ts";
import { startProcess } from "../../../src/engines/process/start-process.ts";
import { readProcessTable, treeOf } from "../../../src/engines/process/process-table.ts";
import type { ProcessTree } from "../../../src/engines/process/process-tree.ts";
import { SupervisorError } from "../../../src/errors.ts";
import { noOutbound, noSandbox } from "../../helpers/isolation.ts";
import { until } from "../../helpers/until.ts";

interface Start extends Partial<Sandbox> {
  cwd?: string;
  limits?: Limits;
}

interface Box {
  dir: string;
  data: string;
  home: string;
  start: (
    argv: [string, ...string[]],
    more?: Start,
  ) => Promise<{ running: ProcessTree; lines: string[] }>;
}

/** A folder with a daemon's data below it, as by default, and children that run in it. */
function makeBox(t: TestContext): Box {
  const dir = mkdtempSync(join(tmpdir(), "box-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  chmodSync(dir, 0o755);
  const data = join(dir, "data");
  const home = join(data, "homes/alice/mail");
  const socketDir = join(data, "run");
  for (const folder of [home, socketDir]) mkdirSync(folder, { recursive: true });
  writeFileSync(join(data, "db"), "all tokens");
  writeFileSync(join(dir, "config.json"), "all secrets");
  writeFileSync(join(dir, "server.txt"), "the server");
  const uid = process.getuid!() === 0 ? NOBODY : null;
  if (uid !== null) chownSync(home, uid, uid);
  return {
    dir,
    data,
    home,
    start: async (argv, { cwd = dir, limits, ...more } = {}) => {
      const lines: string[] = [];
      const running = await startProcess(
        {
          argv,
          cwd,
          env: { PATH: process.env["PATH"] ?? "", HOME: home, TOKEN: "token-of-alice" },
          confinement: {
            level: "sandbox",
            uid,
            home,
            network: "none",
            reach: [],
            shared: [],
            paths: { read: [], write: [] },
            hidden: [data, join(dir, "config.json"), join(dir, "not-there")],
            port: null,
            socketDir,
            ...more,
          },
          limits,
          stdout: "lines",
          eofGraceMs: 100,
          stopTimeoutMs: 10_000,
        },
        (_, line) => lines.push(line),
      );
      t.after(() => running.kill());
      return { running, lines };
    },
  };
}

async function outputOf({ start }: Box, script: string, more?: Start): Promise<string[]> {
  const { running, lines } = await start(["sh", "-c", `exec 2>&1\n${script}`], more);
  await running.drained;
  return lines;
}

const skip = noSandbox;

test(
  "a child sees its server's folder, but never the daemon's files in it",
  { skip },
  async (t) => {
    const box = makeBox(t);
    const lines = await outputOf(
      box,
      `cat server.txt; echo; cat config.json 2>/dev/null; ls ${box.data}; ls ${box.data}/homes/alice`,
    );
    assert.deepEqual(lines, ["the server", "homes", "mail"]);
  },
);

test(
  "a child can write to its home and to a /tmp of its own, and nowhere else",
  { skip },
  async (t) => {
    const box = makeBox(t);
    const places = [box.home, "/tmp", box.dir, box.data, "/etc", "/usr", "/var", "/run", "/"];
    const lines = await outputOf(
      box,
      places.map((place) => `touch ${place}/mine 2>/dev/null && echo ${place}`).join("\n"),
    );
    assert.deepEqual(lines, [box.home, "/tmp"]);
  },
);

test(
  "of /dev a child can write to /dev/shm only, which is bounded by its memory as /tmp is",
  { skip },
  async (t) => {
    const box = makeBox(t);
    const script = `touch /dev/mine /dev/pts/mine /dev/null/mine; mkdir /dev/shm/mine && echo made
      df -k --output=target,size /tmp /dev/shm | grep /`;
    const sizes = async (limits?: Limits) =>
      (await outputOf(box, script, { limits }))
        .map((line) => line.replace(/ +/, " "))
        .filter((line) => !line.startsWith("touch: "));
    assert.deepEqual(await sizes(), ["made", "/tmp 524288", "/dev/shm 524288"]);
    const memoryBytes = 96 << 20;
    assert.deepEqual(await sizes({ memoryBytes }), ["made", "/tmp 98304", "/dev/shm 98304"]);
  },
);

/** By the system calls themselves; what a filter does not know goes to the kernel. */
const NEW_USER_NAMESPACE = `import ctypes, os, struct
call = ctypes.CDLL(None).syscall
NEWUSER, SIGCHLD = 0x10000000, 17
clone, unshare = (220, 97) if os.uname().machine == "aarch64" else (56, 272)
def attempt(name, *args):
    pid = os.fork()
    if pid == 0:
        if call(*args) != -1: print(name, flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
attempt("unshare", unshare, NEWUSER)
attempt("clone", clone, NEWUSER | SIGCHLD, 0, 0, 0, 0)
attempt("clone3", 435, struct.pack("11Q", NEWUSER, 0, 0, 0, SIGCHLD, *[0] * 6), 88)
attempt("x32", 0x40000000 | unshare, NEWUSER)
print("tried")`;

test("no process of a sandbox can make a user namespace", { skip }, async (t) => {
  if (spawnSync("python3", ["--version"]).status !== 0) return t.skip("python3 is not installed");
  const { running, lines } = await makeBox(t).start(["python3", "-c", NEW_USER_NAMESPACE]);
  await running.drained;
  assert.deepEqual(lines, ["tried"]);
  return undefined;
});

test("Python's processes can share locks in a sandbox", { skip }, async (t) => {
  if (spawnSync("python3", ["--version"]).status !== 0) return t.skip("python3 is not installed");
  const script = `import multiprocessing
lock = multiprocessing.Lock()
with lock: print("locked")`;
  assert.deepEqual(await outputOf(makeBox(t), `python3 -c '${script}'`), ["locked"]);
  return undefined;
});

/** A file of 48 MiB in /dev/shm that two processes have mapped and written to. */
const MAPPED = `import mmap, os
with open("/dev/shm/shared", "w+b") as file:
    os.ftruncate(file.fileno(), 48 << 20)
    pages = mmap.mmap(file.fileno(), 48 << 20)
pages[:] = b"1" * (48 << 20)
if os.fork() == 0:
    sum(pages[::4096])
    print("mapped", flush=True)
import sys
sys.stdin.read()`;

test("what lies in /dev/shm and is mapped counts once", { skip }, async (t) => {
  if (spawnSync("python3", ["--version"]).status !== 0) return t.skip("python3 is not installed");
  const { running, lines } = await makeBox(t).start(["python3", "-c", MAPPED]);
  await until(() => lines.includes("mapped"), "it is mapped twice");
  const members = treeOf(running.pid, await readProcessTable());
  const files = filesFor({ level: "sandbox" } as Sandbox).of(members);
  assert.ok(files.bytes >= 48 << 20 && files.bytes < 49 << 20, `files: ${files.bytes}`);
  const held = heldBytes(members, 0, files);
  assert.ok(held >= 48 << 20 && held < 90 << 20, `held: ${held}`);
  const rssBytes = (await running.rssBytes())!;
  assert.ok(rssBytes >= 96 << 20, `resident in both, not in the files too: ${rssBytes}`);
  return undefined;
});

/** A child that looks when it is told to, and what it has found then. */
async function look({ home, start }: Box, script: string, change: () => void, more?: Start) {
  const wait = `echo up; while [ ! -e ${home}/go ]; do sleep 0.05; done`;
  const { running, lines } = await start(["sh", "-c", `exec 2>&1; ${wait}; ${script}`], more);
  await until(() => lines.includes("up"), "the child runs");
  change();
  writeFileSync(join(home, "go"), "");
  await running.drained;
  return lines.slice(1);
}

/** As editors and `sed -i` save. */
function saveOver(file: string, text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

test("a config that is saved anew stays hidden from a child that runs", { skip }, async (t) => {
  const box = makeBox(t);
  const config = join(box.dir, "config.json");
  const lines = await look(box, `cat config.json; ls; cat server.txt`, () => {
    saveOver(config, "new secrets");
    writeFileSync(join(box.dir, "config.json.bak"), "new secrets");
  });
  assert.deepEqual(lines, [
    "cat: config.json: No such file or directory",
    "data",
    "server.txt",
    "the server",
  ]);
});

test("so does one that links lead to, when it or a link is replaced", { skip }, async (t) => {
  const box = makeBox(t);
  const at = (name: string) => join(box.dir, name);
  for (const folder of ["deep/links", "deep/real"]) mkdirSync(at(folder), { recursive: true });
  writeFileSync(at("deep/real/it.json"), "all secrets");
  writeFileSync(at("deep/real/other.txt"), "other");
  symlinkSync("../real/it.json", at("deep/links/it.json"));
  symlinkSync("deep/links/it.json", at("linked.json"));
  symlinkSync("deep/real/other.txt", at("other"));
  const names = ["linked.json", "deep/links/it.json", "deep/real/it.json"];
  const script = `cat ${names.join(" ")} 2>/dev/null; cat other`;
  const change = () => names.toReversed().forEach((name) => saveOver(at(name), "new secrets"));
  const hidden = [box.data, at("config.json"), at("linked.json")];
  assert.deepEqual(await look(box, script, change, { hidden }), ["other"]);
});

test("a data folder that is moved away stays hidden, and so does the next", { skip }, async (t) => {
  const box = makeBox(t);
  const aside = join(box.dir, "aside");
  const lines = await look(box, `find . -name db`, () => {
    renameSync(box.data, aside);
    mkdirSync(box.home, { recursive: true });
    writeFileSync(join(box.data, "db"), "all tokens again");
    renameSync(box.home, `${box.home}.empty`);
    renameSync(join(aside, "homes/alice/mail"), box.home);
  });
  assert.deepEqual(lines, []);
});

test("a folder that a link leads to hides what it does under its own name", { skip }, async (t) => {
  const box = makeBox(t);
  const link = `${box.dir}-link`;
  symlinkSync(box.dir, link);
  t.after(() => rmSync(link));
  const script = `cat server.txt; echo; touch ./mine; cat config.json; ls data`;
  assert.deepEqual(await outputOf(box, `exec 2>/dev/null; ${script}`, { cwd: link }), [
    "the server",
  ]);
});

test(
  "the daemon's files among too many others are refused with what to do",
  { skip },
  async (t) => {
    const box = makeBox(t);
    for (let i = 0; i < 200; i++) writeFileSync(join(box.dir, `file${i}`), "");
    await assert.rejects(box.start(["true"]), (error) => {
      assert.ok(error instanceof SupervisorError && error.code === "INSTANCE_SPAWN_FAILED");
      assert.match(error.details.join(), /among 203 entries.*a folder of their own/);
      return true;
    });
  },
);

test("the token is in no command line", { skip }, async (t) => {
  const box = makeBox(t);
  const { running, lines } = await box.start(["sh", "-c", "echo up; sleep 60"], { port: 8000 });
  await until(() => lines.includes("up"), "the child runs");
  const tree = treeOf(running.pid, await readProcessTable());
  assert.ok(tree.length >= 3);
  for (const { pid } of tree)
    assert.ok(!readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("token-of-alice"));
});

test(
  "a child that is asked to end has its time to, and its own exit code is told",
  { skip },
  async (t) => {
    const box = makeBox(t);
    const script = `trap 'echo asked; exit 7' TERM; echo up; while :; do sleep 0.1; done`;
    const { running, lines } = await box.start(["sh", "-c", script]);
    await until(() => lines.includes("up"), "the child runs");
    const { code, signal } = await running.stop();
    assert.deepEqual([code, signal, lines.at(-1)], [7, null, "asked"]);
  },
);

test("the signal that ended a child is told", { skip }, async (t) => {
  const { running } = await makeBox(t).start(["sh", "-c", "kill -SEGV $$"]);
  assert.equal((await running.exited).signal, "SIGSEGV");
});

test(
  "its port is reached through a socket, and is no port of this machine",
  { skip },
  async (t) => {
    const box = makeBox(t);
    const script = `require("http").createServer((_, res) => res.end("hello")).listen(45999, "127.0.0.1")`;
    const { running } = await box.start([process.execPath, "-e", script], { port: 45_999 });
    const ask = (where: object) =>
      new Promise<string>((resolve) => {
        get({ path: "/", agent: false, ...where }, (res) => {
          res.setEncoding("utf8").once("data", resolve);
        }).once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
      });
    await until(
      async () => (await ask({ socketPath: running.socketPath })) === "hello",
      "the child answers",
      30_000,
    );
    assert.equal(await ask({ host: "127.0.0.1", port: 45_999 }), "ECONNREFUSED");
  },
);

for (const [network, why] of [
  ["none", noSandbox],
  ["full", noOutbound],
] as const)
  test(
    `with network "${network}" a child reaches the ports of the loopback that are named, and no others`,
    { skip: why },
    async (t) => {
      const box = makeBox(t);
      const serve = async (): Promise<number> => {
        const server = createServer((socket) => socket.end("host")).listen(0, "127.0.0.1");
        t.after(() => server.close());
        await once(server, "listening");
        return (server.address() as AddressInfo).port;
      };
      const [named, other] = [await serve(), await serve()];
      const script = `
        const net = require("net");
        for (const [host, port] of [["localhost", ${named}], ["127.0.0.1", ${other}], ["10.0.2.2", ${other}], ["10.0.2.2", ${named}]])
          net.connect({ host, port, timeout: 3000 }).on("data", (data) => console.log(host, port, String(data)))
            .on("timeout", function () { this.destroy(); }).on("error", () => {});`;
      const { running, lines } = await box.start([process.execPath, "-e", script], {
        network,
        reach: [named],
      });
      await running.drained;
      assert.deepEqual(lines, [`localhost ${named} host`]);
    },
  );

const noIPv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === "::1"),
)
  ? false
  : "there is no ::1 here";

test(
  "a port that is named is found on ::1 where nothing on 127.0.0.1 has it",
  { skip: noSandbox || noIPv6 },
  async (t) => {
    const box = makeBox(t);
    const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
    server.listen(0, "::1");
    t.after(() => server.close());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const script = `
      const socket = require("net").connect(${port}, "localhost").on("error", (error) => console.log(error.code));
      socket.on("data", (data) => console.log(String(data))).end("sent before it is known who has it");`;
    const { running, lines } = await box.start([process.execPath, "-e", script], { reach: [port] });
    await running.drained;
    assert.deepEqual(lines, ["sent before it is known who has it"]);
  },
);

test(
  "a path that leads elsewhere, or to the daemon's files, is refused with a reason",
  { skip },
  async (t) => {
    const box = makeBox(t);
    symlinkSync("/etc", join(box.dir, "link"));
    const refusal = async (paths: Partial<Sandbox["paths"]>): Promise<string> => {
      try {
        await box.start(["true"], { paths: { read: [], write: [], ...paths } });
      } catch (error) {
        assert.ok(error instanceof SupervisorError && error.code === "INSTANCE_SPAWN_FAILED");
        return error.details.join();
      }
      return assert.fail("it started");
    };
    assert.match(
      await refusal({ read: [join(box.dir, "link")] }),
      /leads to \/etc; write that one/,
    );
    assert.match(await refusal({ read: [join(box.data, "homes")] }), /belongs to the daemon/);
    assert.match(await refusal({ write: [box.dir] }), /holds the daemon's own/);
    assert.match(await refusal({ read: ["/"] }), /has a \/ of its own/);
    assert.match(await refusal({ read: [join(box.dir, "nowhere")] }), /does not exist/);
  },
);

test("a path to read cannot be written to, one to write can", { skip }, async (t) => {
  const box = makeBox(t);
  const shared = mkdtempSync(join(tmpdir(), "shared-"));
  t.after(() => rmSync(shared, { recursive: true, force: true }));
  chmodSync(shared, 0o777);
  const script = `touch ${shared}/file 2>/dev/null && echo written`;
  assert.deepEqual(await outputOf(box, script, { paths: { read: [shared], write: [] } }), []);
  assert.deepEqual(await outputOf(box, script, { paths: { read: [], write: [shared] } }), [
    "written",
  ]);
});

test(
  "the installation of the program is seen, through links and first lines of scripts",
  { skip },
  async (t) => {
    const box = makeBox(t);
    const tools = mkdtempSync(join(tmpdir(), "tools-"));
    t.after(() => rmSync(tools, { recursive: true, force: true }));
    chmodSync(tools, 0o755);
    for (const folder of ["lang/bin", "lang/lib", "app/bin", "links/bin"])
      mkdirSync(join(tools, folder), { recursive: true });
    const program = (file: string, text: string) => {
      writeFileSync(join(tools, file), text);
      chmodSync(join(tools, file), 0o755);
    };
    symlinkSync("/bin/sh", join(tools, "lang/bin/interpreter"));
    writeFileSync(join(tools, "lang/lib/library"), "library");
    program(
      "app/bin/app",
      `#!${tools}/lang/bin/interpreter\ncat ${tools}/lang/lib/library; ls ${tools}\n`,
    );
    symlinkSync("../../app/bin/app", join(tools, "links/bin/app"));
    const { running, lines } = await box.start([join(tools, "links/bin/app")]);
    await running.drained;
    assert.deepEqual(lines.join(" "), "libraryapp lang links");
  },
);
