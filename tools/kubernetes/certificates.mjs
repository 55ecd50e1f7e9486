// Keys of the cluster, which are as old as it is.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { API, CONTROL_PLANE, KUBECONFIG, NODES, RUN, SERVICE_ADDRESS } from "./places.mjs";
import { run } from "./processes.mjs";

const FOLDER = join(RUN, "pki");
export const pki = (name) => join(FOLDER, name);
export const kubeconfigOf = (name) => pki(`${name}.conf`);

const EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3"];
const openssl = (args) => run("openssl", args, { cwd: FOLDER });

function makeCertificate(name, subject, names = []) {
  const extensions = ["basicConstraints=CA:FALSE", "extendedKeyUsage=serverAuth,clientAuth"];
  if (names.length > 0) extensions.push(`subjectAltName=${names.join(",")}`);
  const signedBy = ["-CA", "ca.crt", "-CAkey", "ca.key"];
  const added = extensions.flatMap((line) => ["-addext", line]);
  const files = ["-keyout", `${name}.key`, "-out", `${name}.crt`];
  openssl(["req", "-x509", ...EC, "-subj", subject, ...signedBy, ...added, ...files]);
}

function writeKubeconfig(file, name) {
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "tests", cluster: { server: API, "certificate-authority": pki("ca.crt") } }],
    users: [
      {
        name,
        user: { "client-certificate": pki(`${name}.crt`), "client-key": pki(`${name}.key`) },
      },
    ],
    contexts: [{ name: "tests", context: { cluster: "tests", user: name } }],
    "current-context": "tests",
  };
  // JSON is YAML.
  writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
}

/** Who speaks to the apiserver, and as whom. */
const CLIENTS = {
  admin: "/O=system:masters/CN=admin",
  "kubelet-client": "/O=system:masters/CN=apiserver-kubelet-client",
  "controller-manager": "/CN=system:kube-controller-manager",
  scheduler: "/CN=system:kube-scheduler",
  proxy: "/CN=system:kube-proxy",
};

export function makeCertificates() {
  mkdirSync(FOLDER, { recursive: true, mode: 0o700 });
  const ca = ["-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=mcp-supervisor-tests"];
  openssl(["req", "-x509", ...EC, ...ca]);
  openssl(["genrsa", "-out", "accounts.key", "2048"]);
  openssl(["rsa", "-in", "accounts.key", "-pubout", "-out", "accounts.pub"]);
  makeCertificate("apiserver", "/CN=kube-apiserver", [
    ...[CONTROL_PLANE.address, "127.0.0.1", SERVICE_ADDRESS].map((address) => `IP:${address}`),
    ...["kubernetes", "kubernetes.default", "kubernetes.default.svc"].map((name) => `DNS:${name}`),
  ]);
  for (const [name, subject] of Object.entries(CLIENTS)) makeCertificate(name, subject);
  for (const { name, address } of NODES)
    makeCertificate(name, `/O=system:nodes/CN=system:node:${name}`, [
      `IP:${address}`,
      `DNS:${name}`,
    ]);
  for (const name of [...Object.keys(CLIENTS), ...NODES.map((node) => node.name)])
    writeKubeconfig(kubeconfigOf(name), name);
  writeKubeconfig(KUBECONFIG, "admin");
}
