import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Fixture, startFixture } from "../conformance/fixture.ts";
import { MESSAGE_FAULTS } from "./faults/message-faults.ts";
import { openSpoiler } from "./faults/spoiler.ts";
import { TRANSPORT_FAULTS } from "./faults/transport-faults.ts";
import { troublesOf } from "./report.ts";
import { runChecks, SCENARIOS } from "./suite.ts";

const FAULTS = [...TRANSPORT_FAULTS, ...MESSAGE_FAULTS];

let fixture: Fixture;

before(async () => {
  fixture = await startFixture("--sse");
});
after(async () => await fixture.close());

test("a server that nothing is wrong with passes, spoiler or not", async (t) => {
  const spoiler = await openSpoiler(new URL(fixture.url), {});
  t.after(spoiler.close);
  assert.deepEqual(troublesOf(await runChecks(spoiler.url)), []);
});

test("the suite notices a server that", { concurrency: 4 }, async (t) => {
  await Promise.all(
    FAULTS.map(({ says, spoil, noticed }) =>
      t.test(says, async (part) => {
        const spoiler = await openSpoiler(new URL(fixture.url), spoil);
        part.after(spoiler.close);
        const results = await runChecks(spoiler.url, { only: noticed, timeoutMs: 500 });
        for (const { id, reason = "" } of results)
          assert.doesNotMatch(reason, /^no session could be had/, id);
        assert.deepEqual(
          results.map(({ id, verdict }) => `${id} ${verdict}`).toSorted(),
          noticed.map((id) => `${id} fail`).toSorted(),
        );
      }),
    ),
  );
});

test("every check but the slow one has a fault that it notices", () => {
  const all = SCENARIOS.flatMap(({ checks }) => checks).filter(({ isSlow }) => !isSlow);
  const noticed = new Set(FAULTS.flatMap((fault) => fault.noticed));
  assert.deepEqual(
    all.map(({ id }) => id).filter((id) => !noticed.has(id)),
    [],
  );
});
