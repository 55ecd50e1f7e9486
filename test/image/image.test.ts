import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { BlockList } from "node:net";
import { join, matchesGlob } from "node:path";
import { test } from "node:test";
import { loadConfig } from "../../src/config/config.ts";
import { isInstalled } from "../helpers/installed.ts";
import { must } from "../helpers/pack.ts";
import { temporaryFolder } from "../helpers/store.ts";
import { ROOT, imageConfig, readDockerfile } from "./dockerfile.ts";

const COMPOSE = ["docker-compose.yml", "docker-compose.gmail.yml"];

// `npm run test:image` carries the Dockerfile out, and runs what it makes.
test("the image is not root's, has tini above it and a health check, and copies what is there", () => {
  const [, build, last] = readDockerfile();
  const image = imageConfig();
  assert.equal(image.user, "node");
  assert.equal(image.entrypoint[0], "/usr/bin/tini");
  assert.deepEqual(image.command, ["serve"]);
  assert.match(image.healthCheck.join(" "), /\/health/);
  assert.ok(image.packages.includes("tini") && image.packages.includes("bubblewrap"));
  for (const { name, rest } of [...build!, ...last!]) {
    assert.match(name, /^(FROM|ARG|WORKDIR|COPY|RUN|ENV|USER|EXPOSE|HEALTHCHECK|ENTRYPOINT|CMD)$/);
    const [, from = ""] = /^(?!--from)(\S+) \S+$/.exec(rest) ?? [];
    if (name === "COPY" && from !== "") assert.ok(existsSync(join(ROOT, from)), from);
  }
  for (const mirror of ["NPM_REGISTRY", "DEBIAN_MIRROR"])
    assert.ok(
      [...build!, ...last!].some(({ name, rest }) => name === "ARG" && rest.startsWith(mirror)),
    );
  // The base image has neither a compiler nor Python, and npm 11 would want both for better-sqlite3.
  const [install = ""] = build!.filter(({ name }) => name === "RUN").map(({ rest }) => rest);
  assert.match(install, /^npm ci --ignore-scripts --registry=/);
});

test("of a checkout that was used neither an image nor a package takes data or secrets", (t) => {
  const ignored = readFileSync(join(ROOT, ".dockerignore"), "utf8").trim().split("\n");
  const used = [
    ".env",
    "supervisor.config.json",
    "data/vault.key",
    "examples/gmail/data/homes/alice/mail",
    "backup.db",
    "kept/vault.key",
  ];
  for (const path of used) {
    const above = path.split("/").map((_, index, parts) => parts.slice(0, index + 1).join("/"));
    assert.ok(
      above.some((place) => ignored.some((glob) => matchesGlob(place, glob))),
      path,
    );
  }
  const folder = temporaryFolder(t);
  for (const name of ["package.json", "examples"])
    cpSync(join(ROOT, name), join(folder, name), {
      recursive: true,
      filter: (source) => !source.split("/").includes("data"),
    });
  mkdirSync(join(folder, "examples/gmail/data"));
  writeFileSync(join(folder, "examples/gmail/data/vault.key"), "");
  const listed = must("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: folder });
  assert.ok(listed.includes('"examples/gmail/supervisor.config.json"'), listed);
  assert.ok(!listed.includes("vault.key"), listed);
});

test("the configs of the images are valid, and serve where the compose files look", () => {
  const files = globSync("deploy/{config,gmail}/supervisor.config.json", { cwd: ROOT });
  assert.equal(files.length, 2);
  for (const file of files) {
    const config = loadConfig({ path: join(ROOT, file), env: {} });
    assert.deepEqual(config.listen, { host: "0.0.0.0", port: 5000 });
    assert.equal(config.dataDir, "/data");
    assert.equal(config.keyFile, "/key/vault.key");
    assert.equal(config.isolation, "auto");
  }
});

test("the config of the manifests is valid", () => {
  const path = join(ROOT, "deploy/kubernetes/supervisor.config.json");
  assert.equal(loadConfig({ path, env: {} }).engine, "kubernetes");
});

test("the compose files are YAML, name files that are there, and run nothing as root that need not be", (t) => {
  for (const file of COMPOSE) {
    const text = readFileSync(join(ROOT, file), "utf8");
    for (const [, path] of text.matchAll(/- \.\/([^:]+):/g))
      assert.ok(existsSync(join(ROOT, path!)), path);
    assert.match(text, /cap_drop: \[ALL\]/);
    assert.match(text, /read_only: true/);
    assert.match(text, /no-new-privileges:true/);
    assert.match(text, /"127\.0\.0\.1:5000:5000"/);
    assert.ok(!/privileged: true|docker\.sock|user: *["']?(root|0)/.test(text));
  }
  const parse =
    "import sys, yaml\nfor f in sys.argv[1:]: assert yaml.safe_load(open(f))['services']['mcp-supervisor']";
  const has = spawnSync("python3", ["-c", "import yaml"]).status === 0;
  if (!has) return t.skip("python3 with yaml is not installed");
  const paths = COMPOSE.map((file) => join(ROOT, file));
  const { status, stderr } = spawnSync("python3", ["-c", parse, ...paths], { encoding: "utf8" });
  return assert.equal(status, 0, stderr);
});

test("nobody else gets the address in the compose file that the config trusts as Caddy's", () => {
  const text = readFileSync(join(ROOT, "docker-compose.yml"), "utf8");
  const of = (key: string): string => new RegExp(`${key}: (\\S+)`).exec(text)?.[1] ?? "";
  const [subnet, rest, caddy] = [of("subnet"), of("ip_range"), of("ipv4_address")];
  const listOf = (range: string): BlockList => {
    const [net = "", bits] = range.split("/");
    const list = new BlockList();
    list.addSubnet(net, Number(bits));
    return list;
  };
  assert.ok(listOf(subnet).check(caddy));
  assert.ok(!listOf(rest).check(caddy));
  const { trustProxy } = loadConfig({
    path: join(ROOT, "deploy/config/supervisor.config.json"),
    env: {},
  });
  assert.deepEqual(trustProxy, [caddy]);
});

test("Caddy takes the Caddyfile", { skip: !isInstalled("caddy") }, () => {
  const args = [
    "validate",
    "--adapter",
    "caddyfile",
    "--config",
    join(ROOT, "deploy", "Caddyfile"),
  ];
  const { status, stderr } = spawnSync("caddy", args, {
    encoding: "utf8",
    env: { ...process.env, DOMAIN: "mcp.example.com" },
  });
  assert.equal(status, 0, stderr);
});
