import type { Kind } from "../helpers/notes-calls.ts";
import { until } from "../helpers/until.ts";
import type { Stand } from "./faults.ts";
import { Rig } from "./rig.ts";
import type { StartGateway } from "./rig.ts";

/** Soon, so that many stops take no long time. */
const IDLE = "250ms";

/** This gateway with two servers of that kind: one is killed and replaced, one stopped since nobody uses it. */
export async function openStands(
  start: StartGateway,
  kind: Kind,
  more: Record<string, unknown> = {},
): Promise<{ stands: Stand[]; rig: Rig }> {
  const [busy, idle] = [`${kind}-busy`, `${kind}-idle`];
  const rig = await Rig.open(start, {
    [busy]: { kind, more },
    [idle]: { kind, more: { idleTimeout: IDLE, ...more } },
  });
  const states = async (server: string) => (await rig.rows(server)).map(({ state }) => state);
  const standOf = (server: string, faults: Stand["faults"]): Stand => ({
    name: kind,
    door: {
      url: (front) => `${rig.gateway.origin}/u/alice/${server}/${front}`,
      headers: { authorization: `Bearer ${rig.secrets.get("alice")}` },
      // Not what it takes: a busy machine is no fault of the gateway's.
      patienceMs: 12_000,
    },
    notes: rig.notes(server),
    faults,
    // A session that ends can be followed by another here.
    revive: () => Promise.resolve(),
  });
  return {
    rig,
    stands: [
      standOf(busy, {
        killed: async () => void (await rig.end(busy)),
        replaced: async () => {
          await rig.order("restart", busy, "--graceful");
          // A client that can be asked has a child of its own, and an earlier one's may be there still.
          const isOver = async () => (await states(busy)).every((state) => state === "ready");
          await until(isOver, "the new one serves alone");
        },
      }),
      standOf(idle, {
        idle: async () => {
          // Of a child of a session's own that is down there is no row.
          const isOver = async () => (await states(idle)).every((state) => state === "stopped");
          await until(isOver, "it is stopped");
        },
      }),
    ],
  };
}
