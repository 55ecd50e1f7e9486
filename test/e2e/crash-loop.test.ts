import assert from "node:assert/strict";
import { test } from "node:test";
import { startDaemon } from "../helpers/daemon.ts";
import { echoServer } from "../helpers/echo.ts";
import { bearer, call, fixture, initialize, json } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import type { Answer } from "../helpers/raw-http.ts";
import { instancesOf } from "../helpers/status.ts";

const USERS = 5;
const CALLS = 20;

interface Refusal {
  error: { data: { type: string } };
}
const typeOf = ({ body }: Answer) => (JSON.parse(body) as Refusal).error.data.type;

test("users in a crash loop are told to come back later, and those beside them notice nothing", async (t) => {
  const daemon = await startDaemon(t, {
    config: {
      defaultServer: "calm",
      servers: {
        calm: echoServer("http"),
        // No longer, so that a message does not wait along with the second try.
        broken: { ...fixture("http", "crash-on-start"), startTimeout: "1s" },
      },
    },
  });
  const join = async (server: string, i: number) => {
    const { key } = await daemon.addUser(`${server}${i}`);
    return async (body: string, session: string[] = []): Promise<Answer> =>
      await ask(daemon.port, {
        method: "POST",
        path: `/u/${server}${i}/${server}/mcp`,
        headers: [...bearer(key.secret), ...json, ...session],
        body,
      });
  };
  const all = Array.from({ length: USERS }, (_, i) => i);
  const calm = await Promise.all(all.map(async (i) => await join("calm", i)));
  const broken = await Promise.all(all.map(async (i) => await join("broken", i)));
  const sessions = await Promise.all(
    calm.map(async (post) => {
      const { status, headers, body } = await post(initialize());
      assert.equal(status, 200, body);
      return ["mcp-session-id", String(headers["mcp-session-id"])];
    }),
  );

  let heldOff = 0;
  const crashing = Promise.all(
    broken.map(async (post) => {
      for (;;) {
        const answer = await post(initialize());
        const type = typeOf(answer);
        if (type === "INSTANCE_BACKING_OFF") {
          heldOff += 1;
          return answer;
        }
        assert.match(type, /^INSTANCE_(EXITED|START_TIMEOUT)$/);
      }
    }),
  );
  const areAllHeldOff = () => heldOff === USERS;
  const failures: string[] = [];
  await Promise.all(
    calm.map(async (post, i) => {
      for (let id = 1; id <= CALLS || !areAllHeldOff(); id++) {
        const { status, body } = await post(
          call(id, "echo", { message: `${i}.${id}` }),
          sessions[i],
        );
        if (status !== 200 || !body.includes(`${i}.${id}`)) failures.push(`${status} ${body}`);
      }
    }),
  );
  assert.deepEqual(failures, [], "every call of the others is answered");
  for (const { status, headers } of await crashing) {
    assert.equal(status, 503);
    assert.ok(Number(headers["retry-after"]) >= 1);
  }
  const rows = await instancesOf(daemon);
  const ready = rows.filter(({ server, state }) => server === "calm" && state === "ready");
  assert.equal(ready.length, USERS);
});
