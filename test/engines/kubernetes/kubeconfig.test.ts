import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { inCluster } from "../../../src/engines/kubernetes/api/in-cluster.ts";
import { clusterOfKubeconfig } from "../../../src/engines/kubernetes/api/kubeconfig.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");

interface Parts {
  cluster?: object;
  user?: object;
}

function written(t: TestContext, { cluster = {}, user = {} }: Parts): string {
  const file = path.join(temporaryFolder(t), "kubeconfig");
  const content = {
    "current-context": "here",
    contexts: [
      { name: "here", context: { cluster: "c", user: "u" } },
      { name: "lost", context: { cluster: "c", user: "nobody" } },
    ],
    clusters: [{ name: "c", cluster: { server: "https://cluster.example:6443/k8s", ...cluster } }],
    users: [{ name: "u", user }],
  };
  writeFileSync(file, JSON.stringify(content));
  return file;
}

const invalid = (message: RegExp) => ({ code: "CONFIG_UNREADABLE", message });

test("a kubeconfig leads to its current context's cluster, with what stands in it", async (t) => {
  const file = written(t, {
    cluster: { "certificate-authority-data": base64("CA"), "tls-server-name": "api" },
    user: { "client-certificate-data": base64("CERT"), "client-key-data": base64("KEY") },
  });
  const cluster = clusterOfKubeconfig(file, null);
  const { server, ca, serverName } = cluster;
  assert.equal(server.href, "https://cluster.example:6443/k8s");
  assert.deepEqual([ca, serverName], ["CA", "api"]);
  assert.deepEqual(await cluster.credentials(), {
    token: undefined,
    certificate: "CERT",
    key: "KEY",
  });
});

test("a token's file is read again once the apiserver refused what stood in it", async (t) => {
  const file = written(t, { user: { tokenFile: "token" } });
  assert.throws(
    () => clusterOfKubeconfig(file, null),
    invalid(/token.* cannot be read \(ENOENT\)/),
  );
  const token = path.join(path.dirname(file), "token");
  writeFileSync(token, "first\n");
  const cluster = clusterOfKubeconfig(file, null);
  writeFileSync(token, "second\n");
  assert.equal((await cluster.credentials()).token, "first");
  cluster.refused();
  assert.equal((await cluster.credentials()).token, "second");
});

test("what a kubeconfig lacks, or would weaken, is refused by name", (t) => {
  const open = (parts: Parts, context: string | null = null) => {
    const file = written(t, parts);
    return () => clusterOfKubeconfig(file, context);
  };
  assert.throws(open({}, "other"), invalid(/has no context "other"/));
  assert.throws(open({}, "lost"), invalid(/has no user "nobody"/));
  assert.throws(open({ cluster: { server: "http://plain" } }), invalid(/no https URL/));
  const trusting = { cluster: { "insecure-skip-tls-verify": true } };
  assert.throws(open(trusting), invalid(/would trust whoever answers/));
  assert.throws(open({ user: { "auth-provider": {} } }), invalid(/"exec"/));
  assert.throws(open({ user: { exec: { apiVersion: "old" } } }), invalid(/another version/));
});

const VERSION = "client.authentication.k8s.io/v1";

/** A program that counts how often it was run, and answers with that as its token. */
function plugin(t: TestContext, status: string) {
  const folder = temporaryFolder(t);
  const script = path.join(folder, "plugin.sh");
  writeFileSync(
    script,
    `#!/bin/sh\necho x >> ${folder}/runs\nn=$(wc -l < ${folder}/runs)\necho '{"apiVersion":"${VERSION}","kind":"ExecCredential","status":${status}}' | sed "s/N/token-$n/"\n`,
    { mode: 0o755 },
  );
  return { exec: { apiVersion: VERSION, command: script } };
}

test("a program's token is kept until the apiserver refuses it", async (t) => {
  const file = written(t, { user: plugin(t, '{"token":"N"}') });
  const cluster = clusterOfKubeconfig(file, null);
  const [first, second] = await Promise.all([cluster.credentials(), cluster.credentials()]);
  assert.equal(first.token, "token-1");
  assert.equal(second.token, "token-1");
  cluster.refused();
  assert.equal((await cluster.credentials()).token, "token-2");
});

test("a program's token that has expired is fetched anew", async (t) => {
  const status = '{"token":"N","expirationTimestamp":"2020-01-01T00:00:00Z"}';
  const cluster = clusterOfKubeconfig(written(t, { user: plugin(t, status) }), null);
  assert.equal((await cluster.credentials()).token, "token-1");
  assert.equal((await cluster.credentials()).token, "token-2");
});

test("a program that gives no credentials is named, with what became of it and not what it wrote", async (t) => {
  const failing = { apiVersion: VERSION, command: "sh", args: ["-c", "echo secret; exit 3"] };
  const cluster = clusterOfKubeconfig(written(t, { user: { exec: failing } }), null);
  const why = "the kubeconfig's program sh gave no credentials: it exited with code 3";
  await assert.rejects(cluster.credentials(), { code: "CONFIG_UNREADABLE", message: why });
});

test("in a pod of the cluster its service account is who we are", async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(path.join(folder, "token"), "mine\n");
  writeFileSync(path.join(folder, "ca.crt"), "CA");
  const env = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" };
  const cluster = inCluster(env, folder);
  assert.deepEqual([cluster.server.host, cluster.ca], ["[fd00::1]:6443", "CA"]);
  assert.equal((await cluster.credentials()).token, "mine");
  assert.throws(() => inCluster({}, folder), invalid(/in no pod of a cluster.*"kubeconfig"/));
});
