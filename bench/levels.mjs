// What a level of isolation costs: the start of a child until it answers, a call, and memory.
//   node bench/levels.mjs [ROUNDS]
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { startProcess } from "../src/engines/process/start-process.ts";
import { probeMachine } from "../src/engines/process/levels.ts";
import { readProcessTable, treeOf } from "../src/engines/process/process-table.ts";

const NOBODY = 65_534;
const CALLS = 2_000;
const SERVER = `require("http").createServer((_, res) => res.end("ok")).listen(Number(process.argv[1]), "127.0.0.1")`;
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

const ask = (where) =>
  new Promise((resolve) => {
    const req = request({ path: "/", ...where }, (res) => {
      res.resume().once("end", () => resolve(true));
    });
    req.once("error", () => resolve(false));
    req.end();
  });

/** What belongs to this tree alone, shared pages in their parts. */
async function memoryKib(pid) {
  let kib = 0;
  for (const member of treeOf(pid, await readProcessTable())) {
    const text = readFileSync(`/proc/${member.pid}/smaps_rollup`, "latin1");
    kib += Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
  }
  return kib;
}

async function startChild(folder, { level, network, isUnlike }) {
  const home = path.join(folder, "home");
  const uid = process.getuid() === 0 ? NOBODY : null;
  const port = level === "sandbox" ? 8000 : await freePort();
  const sandbox = {
    level: "sandbox",
    uid,
    home,
    network,
    // Another forwarder than the usual one carries ports in; here it is only measured.
    reach: isUnlike ? [1999] : [],
    paths: { read: [], write: [] },
    hidden: [],
    shared: [],
    port,
    socketDir: path.join(folder, "run"),
  };
  const startedAt = performance.now();
  const running = await startProcess(
    {
      argv: [process.execPath, "-e", SERVER, String(port)],
      cwd: "/",
      env: { PATH: process.env.PATH, HOME: home },
      confinement: level === "sandbox" ? sandbox : level === "user" ? { level, uid } : { level },
      stdout: "lines",
      eofGraceMs: 0,
      stopTimeoutMs: 1000,
    },
    () => {},
  );
  const where =
    running.socketPath === null
      ? { host: "127.0.0.1", port }
      : { socketPath: running.socketPath, host: "127.0.0.1" };
  while (!(await ask({ ...where, agent: false }))) await sleep(2);
  return { running, where, startMs: performance.now() - startedAt };
}

async function callsUs(where) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times = [];
  for (let call = 0; call < CALLS; call++) {
    const at = performance.now();
    await ask({ ...where, agent });
    times.push((performance.now() - at) * 1000);
  }
  agent.destroy();
  return median(times.slice(CALLS / 4));
}

/** Rows of figures, each beside `none`; those that this machine cannot show are left out. */
export async function levels(rounds = 10) {
  const folder = mkdtempSync(path.join(tmpdir(), "levels-"));
  chmodSync(folder, 0o755);
  for (const name of ["home", "run"]) mkdirSync(path.join(folder, name));
  if (process.getuid() === 0) chownSync(path.join(folder, "home"), NOBODY, NOBODY);
  try {
    const machine = await probeMachine({
      uids: null,
      dataDir: folder,
      socketDir: path.join(folder, "run"),
    });
    const kinds = [{ name: "none", level: "none" }];
    if (process.getuid() === 0) kinds.push({ name: "user", level: "user" });
    if (machine.sandbox.length === 0) {
      const sandbox = { name: "sandbox, no network", level: "sandbox", network: "none" };
      kinds.push(sandbox, { ...sandbox, name: `${sandbox.name}, Node forwarder`, isUnlike: true });
      if (machine.outbound.length === 0)
        kinds.push({ ...sandbox, name: "sandbox, network", network: "full" });
    }
    const found = new Map(kinds.map(({ name }) => [name, { startMs: [], callUs: [], kib: [] }]));
    for (let round = 0; round < rounds; round++) {
      for (const kind of kinds) {
        const { running, where, startMs } = await startChild(folder, kind);
        const figures = found.get(kind.name);
        figures.startMs.push(startMs);
        if (round < 3) {
          figures.callUs.push(await callsUs(where));
          figures.kib.push(await memoryKib(running.pid));
        }
        await running.kill();
      }
    }
    return [...found].map(([name, { startMs, callUs, kib }]) => ({
      name,
      startMs: median(startMs),
      callUs: median(callUs),
      memoryMiB: median(kib) / 1024,
    }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The same as rows of the bench: what, figure, figure to hold, whether it is held. */
export async function levelRows(rounds) {
  const [none, ...others] = await levels(rounds);
  const usual = others.find(({ name }) => name.startsWith("sandbox"));
  const addedMs = usual === undefined ? 0 : (usual.callUs - none.callUs) / 1000;
  return others.flatMap(({ name, startMs, memoryMiB }) => {
    const limit = name.endsWith(", network") ? 45 : 25;
    const added = startMs - none.startMs;
    const more = `+${(memoryMiB - none.memoryMiB).toFixed(1)} MiB`;
    return [
      [
        `${name}: start over none`,
        `+${added.toFixed(0)} ms, ${more}`,
        ...(name === "user" ? ["–", undefined] : [`≤ +${limit} ms`, added <= limit]),
      ],
      ...(name === usual?.name
        ? [[`${name}: a call over none`, `+${addedMs.toFixed(2)} ms`, "≤ +0.1 ms", addedMs <= 0.1]]
        : []),
    ];
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const row of await levels(Number(process.argv[2] ?? 10)))
    console.log(
      `${row.name.padEnd(36)} start ${row.startMs.toFixed(0)} ms, call ${row.callUs.toFixed(0)} µs, memory ${row.memoryMiB.toFixed(1)} MiB`,
    );
}
