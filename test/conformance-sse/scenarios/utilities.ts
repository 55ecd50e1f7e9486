import assert from "node:assert/strict";
import type { Check, Scenario } from "../check.ts";
import { call, callFor } from "../wishes.ts";

const PING = "2024-11-05/basic/utilities/ping";
const LOGGING = "2024-11-05/server/utilities/logging";
const LEVELS = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

const ping: Check[] = [
  {
    id: "ping",
    section: PING,
    says: "a ping of the client is answered with nothing",
    run: async (visit) => {
      const session = await visit.start();
      assert.deepEqual(await session.result("ping"), {});
    },
  },
  {
    id: "ping-from-server",
    section: PING,
    says: "a ping of the server reaches the client, and the answer the server",
    run: async (visit) => {
      const wanted = callFor(visit, "a ping");
      const session = await visit.start();
      const result = await call(session, wanted);
      assert.notEqual(result["isError"], true);
      assert.equal(session.requests("ping").length, 1);
      assert.ok(session.answered.every((status) => status >= 200 && status < 300));
    },
  },
];

const logging: Check[] = [
  {
    id: "logging-set-level",
    section: `${LOGGING}#setting-log-level`,
    says: "every level of the list can be set",
    run: async (visit) => {
      visit.needs("logging");
      const session = await visit.start();
      for (const level of LEVELS)
        assert.deepEqual(await session.result("logging/setLevel", { level }), {});
    },
  },
  {
    id: "logging-set-level-unknown",
    section: `${LOGGING}#error-handling`,
    says: "a level that is not on the list is answered with an error",
    run: async (visit) => {
      visit.needs("logging");
      const session = await visit.start();
      const { code } = await session.refusal("logging/setLevel", { level: "deafening" });
      assert.ok(Number.isInteger(code), `the code is ${code}`);
    },
  },
  {
    id: "logging-messages",
    section: `${LOGGING}#log-message-notifications`,
    says: "what is logged at the level or above comes as a notification with level and data",
    run: async (visit) => {
      visit.needs("logging");
      const wanted = callFor(visit, "log");
      const session = await visit.start();
      await session.result("logging/setLevel", { level: "debug" });
      await call(session, wanted);
      const { level, data } = await session.notification("notifications/message");
      assert.ok(LEVELS.includes(String(level)));
      assert.notEqual(data, undefined);
    },
  },
  {
    id: "logging-filtered",
    section: `${LOGGING}#message-flow`,
    says: "what is logged below the level does not come",
    run: async (visit) => {
      visit.needs("logging");
      const wanted = callFor(visit, "log");
      const session = await visit.start();
      await session.result("logging/setLevel", { level: "emergency" });
      await call(session, wanted);
      await session.settle();
      assert.deepEqual(session.notifications("notifications/message"), []);
    },
  },
  {
    id: "logging-apart",
    section: `${LOGGING}#setting-log-level`,
    says: "the level of one session is not the level of another",
    run: async (visit) => {
      visit.needs("logging");
      const wanted = callFor(visit, "log");
      const [all, few] = await Promise.all([visit.start(), visit.start()]);
      await all.result("logging/setLevel", { level: "debug" });
      await few.result("logging/setLevel", { level: "emergency" });
      await Promise.all([call(all, wanted), call(few, wanted)]);
      await Promise.all([all.settle(), few.settle()]);
      assert.ok(all.notifications("notifications/message").length > 0);
      assert.deepEqual(few.notifications("notifications/message"), []);
    },
  },
];

export const utilities: Scenario = { id: "utilities", checks: [...ping, ...logging] };
