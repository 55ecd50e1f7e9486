// Builds what a cluster is made of from Go modules: no image registry and no git checkout is asked.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { join } from "node:path";
import { BIN, CACHE, VERSIONS } from "./places.mjs";
import { requirePrograms } from "./programs.mjs";

/** A cold build takes 10 to 15 minutes of two idle cores. */
const PATIENCE_MS = 25 * 60_000;
const FLAGS = ["-mod=mod", "-buildvcs=false", "-trimpath"];
const GO_ENV = { CGO_ENABLED: "0", GOFLAGS: FLAGS.join(" "), GOWORK: "off" };

const PAUSE = `// What holds the namespaces of a pod: it waits, and takes in what others leave.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	told := make(chan os.Signal, 8)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for s := range told {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}
`;

const go = (cwd, args) =>
  execFileSync("go", args, {
    cwd,
    env: { ...process.env, ...GO_ENV },
    encoding: "utf8",
    stdio: ["ignore", "pipe", 2],
  });

/** A module whose one task is to have another one's programs built with that one's own versions of everything. */
function writeModule(folder, goMod, imports) {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "go.mod");
  // Left as it is: go has filled it in since.
  if (existsSync(file) && readFileSync(join(folder, "from.mod"), "utf8") === goMod) return;
  writeFileSync(file, goMod);
  const lines = imports.map((path) => `\t_ "${path}"`).join("\n");
  writeFileSync(
    join(folder, "tools.go"),
    `//go:build tools\n\npackage tools\n\nimport (\n${lines}\n)\n`,
  );
  writeFileSync(join(folder, "from.mod"), goMod);
}

const download = (folder, module) => {
  mkdirSync(folder, { recursive: true });
  return JSON.parse(go(folder, ["mod", "download", "-json", module]));
};

/**
 * Kubernetes replaces its own libraries by folders that its module does not have in it; they are
 * published beside it, under a version of their own.
 */
function kubernetesModule(folder, imports) {
  const { Dir: dir } = download(folder, `k8s.io/kubernetes@${VERSIONS.kubernetes}`);
  const published = VERSIONS.kubernetes.replace(/^v1\./, "v0.");
  const text = readFileSync(join(dir, "go.mod"), "utf8");
  const required = Array.from(text.matchAll(/^require \([^]*?^\)/gm), ([block]) => block);
  const replaced = Array.from(text.matchAll(/^\t(\S+) => \.\/staging/gm), ([, name]) => name);
  const goMod = [
    "module mcp-supervisor/kubernetes",
    ...text.matchAll(/^go .*$/gm).map(([line]) => line),
    ...text.matchAll(/^godebug .*$/gm).map(([line]) => line),
    `require k8s.io/kubernetes ${VERSIONS.kubernetes}`,
    ...required.map((block) =>
      block.replaceAll(/(\bk8s\.io\/\S+) v0\.0\.0(?=\s)/g, `$1 ${published}`),
    ),
    "replace (",
    ...replaced.map((name) => `\t${name} => ${name} ${published}`),
    ")\n",
  ].join("\n");
  writeModule(folder, goMod, imports);
}

function plainModule(folder, module, imports) {
  const name = folder.split("/").at(-1);
  const goMod = `module mcp-supervisor/${name}\n\ngo 1.24\n\nrequire ${module}\n`;
  writeModule(folder, goMod, imports);
}

function versionFlags() {
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(VERSIONS.kubernetes);
  const values = { gitVersion: VERSIONS.kubernetes, gitMajor: major, gitMinor: minor };
  const packages = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];
  return packages.flatMap((path) =>
    Object.entries(values).map(([key, value]) => `-X ${path}.${key}=${value}`),
  );
}

const KUBERNETES = [
  "kube-apiserver",
  "kube-controller-manager",
  "kube-scheduler",
  "kubelet",
  "kube-proxy",
  "kubectl",
];
const MODULES = {
  pause: {
    programs: { pause: "." },
    write: (folder) => {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "go.mod"), "module mcp-supervisor/pause\n\ngo 1.24\n");
      writeFileSync(join(folder, "main.go"), PAUSE);
    },
  },
  kubernetes: {
    programs: Object.fromEntries(KUBERNETES.map((name) => [name, `k8s.io/kubernetes/cmd/${name}`])),
    write: kubernetesModule,
    flags: versionFlags(),
  },
  etcd: {
    programs: { etcd: "go.etcd.io/etcd/server/v3" },
    write: (folder, imports) =>
      plainModule(folder, `go.etcd.io/etcd/server/v3 ${VERSIONS.etcd}`, imports),
  },
  // Holds pods to network policies. (sigs.k8s.io/kube-network-policies wants nftables' "queue", which not every kernel has.)
  "kube-router": {
    programs: { "kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router" },
    write: (folder, imports) =>
      plainModule(
        folder,
        `github.com/cloudnativelabs/kube-router/v2 ${VERSIONS["kube-router"]}`,
        imports,
      ),
  },
};

async function compile(folder, { name, path, flags, until }) {
  const startedAt = performance.now();
  const file = join(BIN, name);
  const argv = ["build", "-ldflags", ["-s", "-w", ...flags].join(" "), "-o", `${file}.new`, path];
  const child = spawn("go", argv, {
    cwd: folder,
    env: { ...process.env, ...GO_ENV },
    stdio: ["ignore", 2, 2],
    timeout: Math.max(1, Math.floor(until - performance.now())),
  });
  const [code, signal] = await once(child, "exit");
  if (signal !== null) throw new Error(`${name}: not built within the time for all of it`);
  if (code !== 0) throw new Error(`${name}: go build failed (exit ${code})`);
  renameSync(`${file}.new`, file);
  console.error(`${name}: built in ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
}

const stampOf = (name) => join(BIN, `.${name}`);
const versionOf = (name) => VERSIONS[name] ?? "1";
const isBuilt = (name) =>
  existsSync(stampOf(name)) && readFileSync(stampOf(name), "utf8") === versionOf(name);

/** The programs of the cluster that are not in the cache. */
export const missingBuilds = () => Object.keys(MODULES).filter((name) => !isBuilt(name));

/** Builds what is not there; what was compiled of a build that was cut short is found again by the next. */
export async function build(wanted = missingBuilds()) {
  if (wanted.length === 0) return;
  requirePrograms(["go"]);
  const until = performance.now() + PATIENCE_MS;
  mkdirSync(BIN, { recursive: true });
  for (const module of wanted) {
    const { programs, write, flags = [] } = MODULES[module];
    const folder = join(CACHE, "src", module);
    write(folder, Object.values(programs));
    for (const [name, path] of Object.entries(programs))
      // One after the other, because linking two at once takes twice the memory.
      await compile(folder, { name, path, flags, until });
    writeFileSync(stampOf(module), versionOf(module));
  }
}
