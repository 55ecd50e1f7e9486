import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { until } from "../helpers/until.ts";
import {
  CHILDREN,
  SERVERS_IMAGE,
  applyManifests,
  cluster,
  kubectl,
  recipes,
  startGateway,
} from "./rig.ts";

/** A gateway that tries out whether policies hold, with a user whose server may reach nothing. */
async function sceptic(t: TestContext) {
  const servers = { alone: { ...recipes.stdio(), network: "none" }, usual: recipes.stdio() };
  const gateway = await startGateway(t, servers, { networkPolicy: "proven" });
  const user = `eve-${process.pid}`;
  await gateway.daemon.addUser(user, "token-of-eve");
  const start = (server: string) => gateway.daemon.cli(["start", user, "--server", server]);
  return { ...gateway, start };
}

const trialPods = (): string =>
  kubectl(["-n", CHILDREN, "get", "pods", "-l", "mcp-supervisor/role=trial", "-o", "name"]);

// Before the agent is there, which nothing in this run ends again.
test("where nobody enforces policies, a server that may reach nothing is refused, and the others are warned of", async (t) => {
  const { daemon, start } = await sceptic(t);
  await assert.rejects(start("alone"), /this cluster enforces no network policies/);
  await start("usual");
  await until(() => daemon.log().includes("Pods reach each other"), "it is warned");
  await until(() => trialPods() === "", "the throw-away pods are gone");
});

/** Says every second what it reaches; what refuses is what an agent puts in the way, because all of these listen. */
const LOOKS = `
const net = require("node:net");
const reach = (host, port) => new Promise((told) => {
  const socket = net.connect(port, host);
  const over = (what) => (socket.destroy(), told(what));
  socket.setTimeout(2000, () => over(false)).on("connect", () => over(true)).on("error", () => over(false));
});
const [api, other] = process.argv.slice(1);
(async () => {
  for (;;) {
    console.log(JSON.stringify({
      apiserver: await reach(api, 6443),
      service: await reach(process.env.KUBERNETES_SERVICE_HOST, 443),
      pod: await reach(other, 8443),
    }));
    await new Promise((next) => setTimeout(next, 1000));
  }
})();`;
const LISTENS = `require("node:net").createServer((socket) => socket.end("in")).listen(8443)`;

const pod = (name: string, network: string | null, command: string[]): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: network === null ? {} : { "mcp-supervisor/network": network } },
    spec: {
      restartPolicy: "Never",
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 0,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        {
          name: "looks",
          image: SERVERS_IMAGE,
          command: ["node", "-e", ...command],
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
        },
      ],
    },
  });

test("under an agent that enforces them, the shipped policies hold children off all that is private", async (t) => {
  applyManifests();
  cluster("policies");
  const names = ["policy-listens", "policy-child", "policy-free", "policy-none", "policy-full"];
  const ask = (...args: string[]) => kubectl(["-n", CHILDREN, ...args]);
  t.after(() => ask("delete", "pod", "--grace-period=0", "--force", ...names));
  const start = (...of: Parameters<typeof pod>) =>
    kubectl(["-n", CHILDREN, "apply", "-f", "-"], pod(...of));
  start("policy-listens", null, [LISTENS]);
  start("policy-child", "none", [LISTENS]);
  const addressOf = async (name: string) =>
    await until(() => ask("get", "pod", name, "-o", "jsonpath={.status.podIP}"), `${name} is up`);
  const other = await addressOf("policy-listens");
  start("policy-free", null, [LOOKS, "10.231.0.1", other]);
  start("policy-none", "none", [LOOKS, "10.231.0.1", other]);
  start("policy-full", "full", [LOOKS, "10.231.0.1", await addressOf("policy-child")]);
  const settled = async (name: string, expected: object) =>
    await until(
      () => {
        try {
          return ask("logs", name, "--tail=1").trim() === JSON.stringify(expected);
        } catch {
          return false;
        }
      },
      `${name} reaches ${JSON.stringify(expected)}`,
    );
  const nothing = { apiserver: false, service: false, pod: false };
  await settled("policy-free", { apiserver: true, service: true, pod: true });
  await settled("policy-none", nothing);
  await settled("policy-full", nothing);
});

test("under an agent that enforces policies, a server that may reach nothing is served", async (t) => {
  cluster("policies");
  const { daemon, start } = await sceptic(t);
  await start("alone");
  assert.doesNotMatch(daemon.log(), /Pods reach each other/);
  await until(() => trialPods() === "", "the throw-away pods are gone");
});
