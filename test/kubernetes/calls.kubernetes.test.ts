import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { CHILDREN, clusterFolder, kubectl, podsOf, recipes, startGateway } from "./rig.ts";

const KINDS = {
  "over-stdio": recipes.stdio(),
  "over-sse": recipes.sse(),
  "over-http": recipes.http(),
};

test("with the shipped Role alone every front reaches every kind of server, each with its own user's token", async (t) => {
  const gateway = await startGateway(t, KINDS);
  for (const server of Object.keys(KINDS))
    for (const front of ["mcp", "sse"] as const)
      for (const user of ["ada", "bob"]) {
        const session = await gateway.open(user, server, front);
        const env = JSON.parse(await session.call(1, "env")) as Record<string, string>;
        assert.equal(env["USER_ACCESS_TOKEN"], `token-of-${user}`, `${server} by ${front}`);
        assert.equal(env["IMAGE_SAYS"], "hello");
        assert.deepEqual(
          Object.keys(env).filter((name) => name.startsWith("KUBERNETES_")),
          [],
        );
      }
  assert.equal(podsOf("ada", "bob").length, 6);
});

/** Files of etcd, of the nodes and of all logs that have this text in them; the images are not of interest. */
function filesWith(text: string): string[] {
  const options = ["-rlasF", "--exclude=*.tar", "--exclude-dir=io.containerd.content.v1.content"];
  const { stdout } = spawnSync("grep", [...options, "-e", text, clusterFolder()], {
    encoding: "utf8",
  });
  return stdout.split("\n").filter(Boolean);
}

test("a token stands in no Pod, Secret, log, request to the apiserver, event, nor file of etcd or a node", async (t) => {
  const gateway = await startGateway(t, { stdio: recipes.stdio() });
  const canaries = ["cora", "dora"].map((user) => ({ user, token: `token-of-${user}` }));
  for (const { user, token } of canaries) {
    const session = await gateway.open(user, "stdio", "mcp");
    assert.match(await session.call(1, "env"), new RegExp(token));
  }
  const objects = kubectl(["-n", CHILDREN, "get", "pods,secrets,events", "-o", "json"]);
  const secrets = JSON.parse(kubectl(["-n", CHILDREN, "get", "secrets", "-o", "json"])) as {
    items: { data: Record<string, string> }[];
  };
  const opened = secrets.items.flatMap(({ data }) =>
    Object.values(data).map((text) => Buffer.from(text, "base64").toString("latin1")),
  );
  assert.ok(filesWith(podsOf("cora")[0]!.metadata.name).length > 0, "what is there is found");
  // The logs of pods, and what the apiserver was sent, lie with the rest of the cluster's files.
  for (const { token } of canaries) {
    const places = [objects, ...opened, gateway.daemon.log()];
    assert.ok(!places.some((text) => text.includes(token)), token);
    const encoded = Buffer.from(token).toString("base64").replaceAll("=", "");
    for (const word of [token, encoded]) assert.deepEqual(filesWith(word), [], word);
  }
});
