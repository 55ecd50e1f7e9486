import { monitorEventLoopDelay } from "node:perf_hooks";
import type { OwnerKind } from "../containment.ts";
import { CallTimes } from "./call-times.ts";
import { ROUTES } from "./request-record.ts";
import type { RequestRecord, RouteName } from "./request-record.ts";

/** Upper bounds in seconds; streams, which last for hours, are not measured by them. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx"] as const;
const LOOP_RESOLUTION_MS = 20;
const NANO = 1e-9;

interface Durations {
  /** By bucket, not added up; the last one holds what is beyond all of them. */
  counts: number[];
  sum: number;
}

/** What is counted by its labels. */
type CounterName =
  | "calls"
  | "userCalls"
  | "starts"
  | "failures"
  | "restarts"
  | "replays"
  | "resent"
  | "lost"
  | "drainsCut"
  | "contained"
  | "refreshes"
  | "notices";

/** One sample: `{ server: "mail" }` → 3. */
export interface Sample {
  labels: Record<string, string>;
  value: number;
}

/** A call of a tool, when it has ended. */
export interface EndedCall {
  user: string;
  server: string;
  tool: string;
  /** As the audit has it. */
  outcome: string;
  durationMs: number;
}

/** What only others know, asked when somebody wants to see it. */
export interface Gauges {
  users: number;
  sessions: number;
  streams: number;
  instances: Partial<Record<string, number>>;
  spawnsWaiting: number;
  auditDropped: number;
  auditWaiting: number;
  logDropped: number;
  notificationsDropped: number;
  /** What needs a person, by kind. */
  troubles: Record<string, number>;
}

/** The sampler counts its own pause as delay. */
function late(nanoseconds: number): number {
  return Math.max(0, nanoseconds * NANO - LOOP_RESOLUTION_MS / 1000);
}

/** Counts what happens, as plain numbers: who wants to see them pays for the text, not the requests. */
export class Metrics {
  readonly callTimes = new CallTimes();
  readonly #perUser: boolean;
  readonly #durations = new Map<string, Durations>();
  readonly #counts = new Map<CounterName, Map<string, Sample>>();
  readonly #loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  #inFlight = 0;

  /** `perUser`: whether calls are counted for each user too, which makes a series of each. */
  constructor({ perUser }: { perUser: boolean }) {
    this.#perUser = perUser;
    this.#loop.enable();
  }

  began(): void {
    this.#inFlight += 1;
  }

  ended({ route, status, durationMs }: RequestRecord): void {
    this.#inFlight -= 1;
    const key = `${route} ${Math.floor(status / 100)}`;
    let durations = this.#durations.get(key);
    if (durations === undefined) {
      durations = { counts: [...BUCKETS, Infinity].map(() => 0), sum: 0 };
      this.#durations.set(key, durations);
    }
    const seconds = durationMs / 1000;
    let bucket = 0;
    while (bucket < BUCKETS.length && seconds > BUCKETS[bucket]!) bucket += 1;
    durations.counts[bucket]! += 1;
    durations.sum += seconds;
  }

  called({ user, server, outcome, durationMs }: EndedCall): void {
    // A client that changed its mind is no error.
    this.callTimes.add(durationMs, outcome !== "ok" && outcome !== "cancelled");
    this.#count("calls", server + outcome, { server, outcome });
    if (this.#perUser)
      this.#count("userCalls", `${user}/${server}${outcome}`, { user, server, outcome });
  }

  started(server: string): void {
    this.#count("starts", server, { server });
  }

  failed(server: string): void {
    this.#count("failures", server, { server });
  }

  restarted(server: string): void {
    this.#count("restarts", server, { server });
  }

  /** A session went on with another generation, or could not. */
  replayed(server: string, outcome: string): void {
    this.#count("replays", server + outcome, { server, outcome });
  }

  /** So many calls went to another generation than before. */
  resent(server: string, calls: number): void {
    this.#count("resent", server, { server }, calls);
  }

  /** So many calls were not answered, because of such an end of their child. */
  lost(server: string, reason: string, calls: number): void {
    this.#count("lost", server + reason, { server, reason }, calls);
  }

  /** A generation that drained had calls to answer still when it was ended. */
  drainCut(server: string): void {
    this.#count("drainsCut", server, { server });
  }

  /** A provider was asked for a token. */
  refreshed(provider: string, outcome: string): void {
    this.#count("refreshes", provider + outcome, { provider, outcome });
  }

  /** Somebody was to be told of what needs a person. */
  noticed(channel: string, outcome: string): void {
    this.#count("notices", channel + outcome, { channel, outcome });
  }

  /** A failure of ours ended this in place of the process. */
  contained(owner: OwnerKind): void {
    this.#count("contained", owner, { owner });
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get isPerUser(): boolean {
    return this.#perUser;
  }

  samples(name: CounterName): Sample[] {
    return [...(this.#counts.get(name)?.values() ?? [])];
  }

  /** Each route and class of status with its buckets added up, as Prometheus wants them. */
  durations(): {
    labels: { route: RouteName; status: string };
    le: Map<string, number>;
    sum: number;
  }[] {
    return [...this.#durations].map(([key, { counts, sum }]) => {
      const [route = "other", hundreds = "2"] = key.split(" ");
      const le = new Map<string, number>();
      let total = 0;
      for (const [index, count] of counts.entries()) {
        total += count;
        le.set(index === BUCKETS.length ? "+Inf" : String(BUCKETS[index]), total);
      }
      const status = CLASSES[Number(hundreds) - 1] ?? "5xx";
      const name = ROUTES.find((one) => one === route) ?? "other";
      return { labels: { route: name, status }, le, sum };
    });
  }

  /** How late the event loop was since it was last asked, in seconds beyond what was due. */
  loopDelay(): Record<"p50" | "p99" | "max", number> {
    const delays = {
      p50: late(this.#loop.percentile(50)),
      p99: late(this.#loop.percentile(99)),
      max: late(this.#loop.max),
    };
    this.#loop.reset();
    return delays;
  }

  close(): void {
    this.#loop.disable();
  }

  #count(name: CounterName, key: string, labels: Record<string, string>, by = 1): void {
    let samples = this.#counts.get(name);
    if (samples === undefined) this.#counts.set(name, (samples = new Map()));
    const sample = samples.get(key);
    if (sample === undefined) samples.set(key, { labels, value: by });
    else sample.value += by;
  }
}
