// What stands beside the gateway before the same server: nginx, the floor of Node, and a bare pipe on node:http.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import getPort from "get-port";
import { takesConnections } from "./peers.mjs";

const NGINX = ["nginx", "/usr/sbin/nginx"].find(
  (program) => spawnSync(program, ["-v"]).status === 0,
);

/** One process, nothing logged, nothing held back, connections kept on both sides: all that it is asked to do is to relay. */
const nginxConfig = (folder, port, upstream) => `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log /dev/null;
events { worker_connections 20000; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  keepalive_requests 1000000000;
  upstream server { server 127.0.0.1:${upstream}; keepalive 512; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=16384;
    client_max_body_size 0;
    location / {
      proxy_pass http://server;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 1h;
    }
  }
}
`;

async function stopped(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
}

async function startNginx(upstream) {
  const folder = mkdtempSync(join(tmpdir(), "mcp-bench-nginx-"));
  const port = await getPort();
  const config = join(folder, "nginx.conf");
  writeFileSync(config, nginxConfig(folder, port, upstream));
  const child = spawn(NGINX, ["-c", config, "-p", folder], { stdio: "ignore" });
  while (!(await takesConnections(port))) {
    if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}`);
    await sleep(10);
  }
  const stop = async () => {
    await stopped(child, "SIGTERM");
    rmSync(folder, { recursive: true, force: true });
  };
  return { name: "nginx", url: `http://127.0.0.1:${port}`, pid: child.pid, stop };
}

async function startOwn(name, file, upstream) {
  const program = fileURLToPath(new URL(file, import.meta.url));
  const args = ["--max-semi-space-size=2", program, "--upstream", String(upstream), "--port", "0"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  const [line] = await once(createInterface({ input: child.stderr }), "line");
  const port = /^ready port=(\d+)/.exec(line)?.[1];
  if (port === undefined) throw new Error(`${name} said: ${line}`);
  const stop = () => stopped(child, "SIGKILL");
  return { name, url: `http://127.0.0.1:${port}`, pid: child.pid, stop };
}

/** Before the server on that port of this machine. Without nginx where the machine has none. */
export async function startProxies(upstream) {
  const all = [
    await startOwn("floor", "./floor.mjs", upstream),
    await startOwn("pipe", "./pipe.mjs", upstream),
  ];
  return NGINX === undefined ? all : [await startNginx(upstream), ...all];
}
