import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { until } from "./until.ts";

const EXAMPLES = new URL("../../examples/proxy/", import.meta.url);

/** One of the files that people copy. */
export const proxyExample = (name: string): string => readFileSync(new URL(name, EXAMPLES), "utf8");

/** Why a program cannot be used, undefined where it can. */
export function missing(program: string, ...args: string[]): string | undefined {
  const { error } = spawnSync(program, args, { stdio: "ignore" });
  return error === undefined ? undefined : `${program} is not installed`;
}

/** A certificate for localhost that nobody has signed but itself. */
export function makeCertificate(dir: string): { cert: string; key: string } {
  const [cert, key] = [join(dir, "mcp.pem"), join(dir, "mcp.key")];
  const made = spawnSync(
    "openssl",
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
      .split(" ")
      .concat("-keyout", key, "-out", cert),
    { encoding: "utf8" },
  );
  if (made.status !== 0) throw new Error(made.stderr);
  return { cert, key };
}

export interface ProxyPlan {
  dir: string;
  port: number;
  gatewayPort: number;
  cert: string;
  key: string;
  isStripped: boolean;
}

const fill = (text: string, { port, gatewayPort, cert, key }: ProxyPlan): string =>
  text
    .replaceAll("127.0.0.1:8040", `127.0.0.1:${gatewayPort}`)
    .replaceAll("/etc/ssl/mcp.pem", cert)
    .replaceAll("/etc/ssl/mcp.key", key)
    .replace("listen 443 ssl", `listen 127.0.0.1:${port} ssl`);

function nginx(plan: ProxyPlan): string[] {
  const { dir, gatewayPort, isStripped } = plan;
  let site = fill(proxyExample("nginx.conf"), plan).replace("mcp.example.com", "localhost");
  if (isStripped) site = site.replace(`:${gatewayPort};`, `:${gatewayPort}/;`);
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${join(dir, name)};`)
    .join("\n");
  const path = join(dir, "nginx.conf");
  writeFileSync(
    path,
    // As root its workers would be another account, which cannot enter the folder.
    `${process.getuid?.() === 0 ? "user root;" : ""} daemon off; pid ${join(dir, "nginx.pid")}; error_log stderr;
events {} http { access_log off;\n${temp}\n${site}}`,
  );
  return ["nginx", "-c", path, "-e", "stderr"];
}

function caddy(plan: ProxyPlan): string[] {
  let site = fill(proxyExample("Caddyfile"), plan).replace(
    "mcp.example.com",
    `localhost:${plan.port}`,
  );
  if (plan.isStripped) site = site.replace("handle /team", "handle_path /team");
  const path = join(plan.dir, "Caddyfile");
  writeFileSync(
    path,
    `{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n${site}`,
  );
  return ["caddy", "run", "--adapter", "caddyfile", "--config", path];
}

const COMMANDS = { nginx, caddy };

/** Runs the proxy with the example's config, until the test is over. */
export async function startProxy(
  t: TestContext,
  program: keyof typeof COMMANDS,
  plan: ProxyPlan,
): Promise<void> {
  mkdirSync(plan.dir, { recursive: true });
  const [command, ...args] = COMMANDS[program](plan);
  const env = { ...process.env, XDG_DATA_HOME: plan.dir, XDG_CONFIG_HOME: plan.dir };
  const child = spawn(command!, args, { stdio: ["ignore", "ignore", "pipe"], env });
  let words = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (words += text));
  const ended = once(child, "close");
  t.after(async () => {
    child.kill("SIGTERM");
    await ended;
  });
  await until(
    () => {
      if (child.exitCode !== null) throw new Error(words);
      return new Promise<boolean>((resolve) => {
        const socket = connect(plan.port, "127.0.0.1", () => {
          socket.destroy();
          resolve(true);
        });
        socket.once("error", () => resolve(false));
      });
    },
    `${program} listens`,
    20_000,
  );
}
