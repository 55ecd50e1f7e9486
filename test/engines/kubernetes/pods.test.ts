import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiClient, Call } from "../../../src/engines/kubernetes/api/client.ts";
import { Pods } from "../../../src/engines/kubernetes/pods.ts";
import { createLogger } from "../../../src/telemetry/logger.ts";

/** An apiserver that answers a DELETE when the test says so; who gives up before has nothing deleted. */
function slowToDelete() {
  const deleted: string[] = [];
  let isClosed = false;
  let answer!: () => void;
  const allowed = new Promise<void>((resolve) => (answer = resolve));
  const client = {
    async ask<T>({ method, path, signal }: Call): Promise<T> {
      if (method !== "DELETE") return { metadata: { resourceVersion: "1" }, items: [] } as T;
      await allowed;
      signal?.throwIfAborted();
      assert.ok(!isClosed);
      deleted.push(path.split("/").at(-1)!);
      return {} as T;
    },
    async *lines({ signal }: Call & { readonly signal: AbortSignal }): AsyncGenerator<string> {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      yield* [];
    },
    close: () => void (isClosed = true),
  };
  return { client: client as unknown as ApiClient, deleted, answer };
}

test("what is being deleted is gone before the daemon ends", async () => {
  const { client, deleted, answer } = slowToDelete();
  const log = createLogger("silent");
  const pods = new Pods({ client, namespace: "mcps", installation: "0a", log });
  const removed = pods.remove("mcps-1-g1");
  const closed = pods.close();
  await new Promise((resolve) => setImmediate(resolve));
  answer();
  await Promise.all([removed, closed]);
  assert.deepEqual(deleted, ["mcps-1-g1"]);
});
