import { until } from "../helpers/until.ts";
import { WAYS, nameOf, planOf } from "./kills.ts";
import type { Way } from "./kills.ts";
import { Rig } from "./rig.ts";
import type { StartGateway } from "./rig.ts";
import { Sheet, atMost } from "./sheet.ts";

const LANES = 3;
const ASKED = "sampling/createMessage";

const sample = (n: number) => ({ name: "sample", arguments: { n } });
const answer = (text: string) => ({
  role: "assistant",
  content: { type: "text", text },
  model: "x",
});

/** Line 6: servers that are killed while they wait for what they have asked their client. */
export async function killTheAsking(
  start: StartGateway,
  ways: readonly Way[] = WAYS,
): Promise<Sheet> {
  const sheet = new Sheet();
  const rig = await Rig.open(start, planOf(ways));
  try {
    await atMost(LANES, ways, (way) => sheet.look(nameOf(way), () => killAsking(rig, way, sheet)));
  } finally {
    await rig.close();
  }
  return sheet;
}

async function killAsking(rig: Rig, way: Way, sheet: Sheet): Promise<void> {
  const { server, front } = way;
  const session = await rig.session(server, front, { sampling: {} });
  const asking = session.ask("first", "tools/call", sample(1));
  asking.catch(() => undefined);
  const question = await session.heard(ASKED);
  const fault = await rig.end(server);
  const { error } = await asking;
  sheet.note(
    `${nameOf(way)}: killed while it asks, the call`,
    "error, mayHaveHappened true",
    `${error === undefined ? "result" : "error"}, mayHaveHappened ${error?.data?.mayHaveHappened}`,
  );
  const cancelled = await session.heard("notifications/cancelled");
  sheet.note(
    `${nameOf(way)}: the question that is cancelled`,
    JSON.stringify(question.id),
    JSON.stringify(cancelled.params?.["requestId"]),
  );
  const late = JSON.stringify({ jsonrpc: "2.0", id: question.id, result: answer("late") });
  await session.post(late);
  // The next one waits for an answer to the same number of its own count.
  const again = session.ask("second", "tools/call", sample(2));
  again.catch(() => undefined);
  const next = await until(
    () => session.received.filter(({ method }) => method === ASKED)[1],
    "the next one asks",
  );
  await session.post(late);
  await session.post(JSON.stringify({ jsonrpc: "2.0", id: next.id, result: answer("in time") }));
  const { result } = await again;
  const answers = rig
    .notes(server)
    .received()
    .filter(({ pid, got }) => !fault.pids.includes(pid) && got.method === undefined);
  const got = answers.map((message) => JSON.stringify(message.got.result ?? message.got.error));
  sheet.note(
    `${nameOf(way)}: answers that the next one gets`,
    "the one in time",
    got.length === 1 && got[0]!.includes("in time") ? "the one in time" : got.join(" ") || "none",
  );
  sheet.note(
    `${nameOf(way)}: the call of the next one tells of`,
    "the one in time",
    JSON.stringify(result ?? null).includes("in time") ? "the one in time" : JSON.stringify(result),
  );
  session.close();
}
