import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiFailure } from "../../../src/engines/kubernetes/api/failure.ts";
import { refusalOf } from "../../../src/engines/kubernetes/refusals.ts";
import { SupervisorError } from "../../../src/errors.ts";

const ref = { user: "alice", server: "mail", variant: "" };
const forbidden = (message: string) =>
  new ApiFailure(message, { status: 403, reason: "Forbidden" });

test("a full quota is want of room, and no failure of the child's", () => {
  const quota = 'pods "p" is forbidden: exceeded quota: few, requested: pods=1, used: pods=2';
  const { code, message, retryAfterSeconds } = refusalOf(ref, forbidden(quota));
  assert.deepEqual([code, retryAfterSeconds], ["INSTANCE_LIMIT", 10]);
  assert.match(message, /^alice\/mail: the cluster has no room for its pod: .*few/);
});

test("an apiserver that is away, or asks to come later, is a shortage", () => {
  for (const failure of [
    new ApiFailure("the apiserver a:1 cannot be reached (ECONNREFUSED)"),
    new ApiFailure("too many requests", { status: 429 }),
  ])
    assert.equal(refusalOf(ref, failure).code, "RESOURCES_EXHAUSTED");
});

test("a refusal says what an admin is to do, and what the cluster said", () => {
  const told = (said: string): string => refusalOf(ref, forbidden(said)).message;
  assert.match(told('pod rejected: RuntimeClass "gvisor" not found'), /kubernetes\.runtimeClass/);
  assert.match(told('violates PodSecurity "restricted:latest"'), /level `restricted`/);
  assert.match(told('User "x" cannot create resource "pods"'), /deploy\/kubernetes/);
  assert.match(told('admission webhook "w" denied the request: no'), /admission policy.*no\)$/);
  assert.match(told("anything else"), /its pod was refused: anything else$/);
});

test("what is known of the child is told with whose it is, once", () => {
  const spoken = new SupervisorError("INSTANCE_SPAWN_FAILED", "in its pod: not found");
  const named = refusalOf(ref, spoken);
  assert.equal(named.message, "alice/mail: in its pod: not found");
  assert.equal(refusalOf(ref, named), named);
});
