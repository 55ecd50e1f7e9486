import { until } from "../helpers/until.ts";
import { WAYS, nameOf, planOf } from "./kills.ts";
import type { Way } from "./kills.ts";
import { Rig } from "./rig.ts";
import type { StartGateway } from "./rig.ts";
import { Sheet } from "./sheet.ts";

/** What runs elsewhere is not ours to stop. */
const LOCAL_WAYS = WAYS.filter(({ kind }) => !kind.startsWith("remote"));

export interface IdleOptions {
  ways?: readonly Way[];
  stops: number;
  idleTimeout: string;
}

/** Line 3: sessions on every way, whose server is stopped again and again since nobody uses it. */
export async function stopUnderSessions(
  start: StartGateway,
  { ways = LOCAL_WAYS, stops, idleTimeout }: IdleOptions,
): Promise<Sheet> {
  const sheet = new Sheet();
  const rig = await Rig.open(start, planOf(ways), { idleTimeout });
  try {
    await Promise.all(
      ways.map((way) => sheet.look(nameOf(way), () => stopUnderSession(rig, way, stops, sheet))),
    );
  } finally {
    await rig.close();
  }
  return sheet;
}

async function stopUnderSession(rig: Rig, way: Way, stops: number, sheet: Sheet): Promise<void> {
  const session = await rig.session(way.server, way.front);
  let [answered, stopped] = [0, 0];
  let failure = "";
  for (let n = 1; n <= stops && failure === ""; n += 1) {
    await until(async () => {
      const rows = await rig.rows(way.server);
      // A session's own child leaves no row behind.
      const isThere = rows.length > 0 || way.kind === "stdio-session";
      return isThere && rows.every(({ state }) => state === "stopped");
    }, `${way.server} is stopped`);
    stopped += 1;
    const { result, error } = await session.ask(n, "tools/call", {
      name: "note",
      arguments: { n },
    });
    if (result === undefined) failure = `; ${error?.message}`;
    else answered += 1;
  }
  const words = (stop: number, answer: number, names: number, isListening: boolean) =>
    `${stop} stopped, ${answer} answered, ${names} name, stream ${isListening ? "open" : "ended"}`;
  const found = words(stopped, answered, session.names.size, session.isListening);
  sheet.note(nameOf(way), words(stops, stops, 1, true), `${found}${failure}`);
}
