import { connect } from "node:net";
import type { Kind } from "../helpers/notes-calls.ts";
import { until } from "../helpers/until.ts";
import { Rig } from "./rig.ts";
import type { StartGateway } from "./rig.ts";
import type { SomeClient } from "./sdk-clients.ts";
import { Sheet } from "./sheet.ts";

const SIGNALS = ["SIGKILL", "SIGTERM"] as const;
const KINDS = ["stdio", "http"] as const;
const UNDER_WAY_MS = 150;
const URI = "note://1";
/** For a client that comes back after its own rests. */
const RETURN_MS = 30_000;
const PROBE_MS = 20;
const RESULT = "result";

export interface Restarting {
  /** Of the daemon, by each signal. */
  ends: number;
  clients: () => readonly SomeClient[];
  kinds?: readonly Kind[];
  /** Clients that have calls under way when it ends; those of Python end their session over one that is cut. */
  isBusy?: boolean;
}

/** Line 15: the daemon is killed and stopped under its clients, and its port takes who comes meanwhile. */
export async function endUnderClients(
  start: StartGateway,
  { kinds = KINDS, ...restarting }: Restarting,
): Promise<Sheet> {
  const sheet = new Sheet();
  for (const kind of kinds)
    await sheet.look(kind, async () => {
      const rig = await Rig.open(start, { [kind]: { kind } }, {}, { isHeld: true });
      try {
        await endUnder(rig, kind, restarting, sheet);
      } finally {
        await rig.close();
      }
    });
  return sheet;
}

async function endUnder(
  rig: Rig,
  kind: Kind,
  { ends, clients, isBusy = true }: Omit<Restarting, "kinds">,
  sheet: Sheet,
): Promise<void> {
  const rides = clients().map((client, nth) => new Ride(client, rig, kind, nth * 1_000));
  try {
    for (const ride of rides) await ride.open();
    const before = await namesOf(rig);
    for (const signal of SIGNALS) {
      const refused = await watched(rig, async () => {
        for (let round = 0; round < ends; round += 1) await endOnce(rig, rides, signal, isBusy);
      });
      const where = `${kind}, ${ends} times ${signal}`;
      for (const ride of rides) await ride.judge(where, ends, signal === "SIGTERM", sheet);
      sheet.note(`${where}: connections that were refused`, 0, refused);
    }
    sheet.note(`${kind}: sessions of /mcp at the end`, before, await namesOf(rig));
    const calls = rig.notes(kind).calls();
    const numbers = new Set(calls.map(({ n }) => n));
    sheet.note(`${kind}: calls that were executed twice`, 0, calls.length - numbers.size);
  } finally {
    for (const ride of rides) await ride.client.close();
  }
}

async function endOnce(
  rig: Rig,
  rides: readonly Ride[],
  signal: NodeJS.Signals,
  isBusy: boolean,
): Promise<void> {
  if (isBusy) await Promise.all(rides.map((ride) => ride.begin()));
  let next: Promise<void>[] = [];
  await rig.succeed(signal, () => (next = rides.map((ride) => ride.goOn())));
  await Promise.all(next);
}

/** The names by which admins know the sessions of /mcp. */
async function namesOf(rig: Rig): Promise<string> {
  const listed = (await rig.gateway.cli(["session", "list", "alice"])) as {
    sessions: { id: string; front: string }[];
  };
  const names = listed.sessions.filter(({ front }) => front === "http").map(({ id }) => id);
  return names.toSorted().join(" ");
}

/** How many of those are refused who connect all the time. */
async function watched(rig: Rig, work: () => Promise<void>): Promise<number> {
  const port = Number(new URL(rig.gateway.origin).port);
  let refused = 0;
  const probe = (): void => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => socket.destroy()).once("error", () => (refused += 1));
  };
  const timer = setInterval(probe, PROBE_MS);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return refused;
}

/** One client through all of it; each of its calls has a number that is no other's. */
class Ride {
  readonly client: SomeClient;
  readonly #rig: Rig;
  readonly #server: Kind;
  #n: number;
  #wentOn = 0;
  /** Why reads were made once more: the first met the end of its connection. */
  #repeated: string[] = [];
  #strangers = 0;
  #underWay: Promise<string>[] = [];
  readonly #said = new Set<string>();

  constructor(client: SomeClient, rig: Rig, server: Kind, first: number) {
    this.client = client;
    this.#rig = rig;
    this.#server = server;
    this.#n = first;
  }

  async open(): Promise<void> {
    const { origin } = this.#rig.gateway;
    await this.client.open({
      url: (front) => `${origin}/u/alice/${this.#server}/${front}`,
      headers: { authorization: `Bearer ${this.#rig.secrets.get("alice")}` },
      // Not what it takes: a busy machine is no fault of the gateway's.
      patienceMs: 30_000,
    });
  }

  /** Begins a call that is under way when the daemon ends: the server has it when this resolves. */
  async begin(): Promise<void> {
    const n = (this.#n += 1);
    const call = this.#call("late", n).catch((error: Error) => `no result: ${error.message}`);
    this.#underWay.push(call);
    await until(
      () => this.#rig.notes(this.#server).count(n) > 0,
      `the server has it of ${this.client.name}`,
    );
  }

  /** The next read and the next call, begun while no daemon is there. */
  async goOn(): Promise<void> {
    try {
      await this.#read();
      await this.#call("note", (this.#n += 1));
      this.#wentOn += 1;
    } catch (error) {
      this.#said.add((error as Error).message);
    }
  }

  /** Over HTTP with SSE a client has another stream only after a rest of its own, and posts to the old one until then. */
  async #read(): Promise<void> {
    const read = () => this.client.read(URI);
    if (this.client.front === "sse") {
      const isBack = async (): Promise<boolean> =>
        await read().then(
          () => true,
          () => false,
        );
      await until(isBack, "it is back", RETURN_MS);
      return;
    }
    await read().catch(async (error: Error) => {
      this.#repeated.push(error.message);
      await read();
    });
  }

  async #call(tool: string, n: number): Promise<string> {
    const text = await this.client.call(tool, { n, ms: UNDER_WAY_MS });
    if ((JSON.parse(text) as { n: number }).n !== n) this.#strangers += 1;
    return RESULT;
  }

  /** What has become of it; calls that were under way have been finished, or else been cut and not made again. */
  async judge(where: string, ends: number, isFinished: boolean, sheet: Sheet): Promise<void> {
    const endings = await Promise.all(this.#underWay);
    const cut = endings.filter((ending) => ending !== RESULT);
    const words = (wentOn: number, unfinished: number, strangers: number) =>
      `went on ${wentOn} times, ${isFinished ? `${unfinished} calls unfinished, ` : ""}${strangers} answers of another session`;
    const wanted = words(ends, 0, 0);
    const found = words(this.#wentOn, cut.length, this.#strangers);
    const repeated = this.#repeated.map((why) => `a read made twice: ${why}`);
    const said = new Set([...this.#said, ...(isFinished ? cut : [])]);
    sheet.note(
      `${this.client.name} at ${where}`,
      wanted,
      [found, ...repeated, ...said].join("; "),
      wanted === found,
    );
    [this.#wentOn, this.#repeated, this.#strangers, this.#underWay] = [0, [], 0, []];
    this.#said.clear();
  }
}
