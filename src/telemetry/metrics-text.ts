import { Counter, Gauge, Registry, collectDefaultMetrics } from "prom-client";
import type { Metric } from "prom-client";
import { OWNERS } from "../containment.ts";
import type { Gauges, Metrics, Sample } from "./metrics.ts";

const PREFIX = "mcp_supervisor_";

/** CPU, memory, descriptors, garbage collection: what is the same for every Node program. */
let ofProcess: Registry | undefined;

function processRegistry(): Registry {
  if (ofProcess !== undefined) return ofProcess;
  ofProcess = new Registry();
  collectDefaultMetrics({ register: ofProcess });
  return ofProcess;
}

const one = (value: number): Sample[] => [{ labels: {}, value }];

/** Where metrics are put together, each under its name without the prefix. */
interface Instruments {
  readonly registry: Registry;
  readonly gauge: AddMetric;
  readonly counter: AddMetric;
}

type AddMetric = (name: string, help: string, samples: readonly Sample[]) => void;

function createInstruments(): Instruments {
  const registry = new Registry();
  const common = (name: string, help: string, samples: readonly Sample[]) => ({
    name: PREFIX + name,
    help,
    labelNames: Object.keys(samples[0]?.labels ?? {}),
    registers: [registry],
  });
  return {
    registry,
    gauge(name, help, samples) {
      const made = new Gauge(common(name, help, samples));
      for (const { labels, value } of samples) made.set(labels, value);
    },
    counter(name, help, samples) {
      const made = new Counter(common(name, help, samples));
      for (const { labels, value } of samples) made.inc(labels, value);
    },
  };
}

/** The text of `/metrics` (Prometheus, text format 0.0.4), and its content type. */
export async function metricsText(
  metrics: Metrics,
  gauges: Gauges,
  version: string,
): Promise<{ text: string; contentType: string }> {
  const instruments = createInstruments();
  const { registry } = instruments;
  const build = { version, node: process.versions.node };
  instruments.gauge("build_info", "What runs; always 1.", [{ labels: build, value: 1 }]);
  addClients(instruments, gauges);
  addInstances(instruments, metrics, gauges);
  addSurvival(instruments, metrics);
  addRequests(instruments, metrics);
  addDaemon(instruments, metrics, gauges);
  addTroubles(instruments, metrics, gauges);
  registry.registerMetric(durationMetric(metrics));
  const all = Registry.merge([registry, processRegistry()]);
  return { text: await all.metrics(), contentType: registry.contentType };
}

function addClients({ gauge }: Instruments, gauges: Gauges): void {
  gauge("users", "Users in the table.", one(gauges.users));
  gauge("sessions", "Sessions of clients.", one(gauges.sessions));
  gauge("streams", "Event streams to clients that are open.", one(gauges.streams));
}

function addInstances({ gauge, counter }: Instruments, metrics: Metrics, gauges: Gauges): void {
  const states = Object.entries(gauges.instances).map(([state, value]) => ({
    labels: { state },
    value: value ?? 0,
  }));
  gauge("instances", "Instances of servers, by state.", states);
  counter("instance_starts_total", "Children that became ready.", metrics.samples("starts"));
  counter(
    "instance_failures_total",
    "Starts that failed and children that ended unasked.",
    metrics.samples("failures"),
  );
  counter(
    "instance_restarts_total",
    "Starts that followed an end nobody asked for.",
    metrics.samples("restarts"),
  );
  gauge("spawn_queue", "Starts that wait for their turn.", one(gauges.spawnsWaiting));
}

/** What became of sessions and calls when their child was gone. */
function addSurvival({ counter }: Instruments, metrics: Metrics): void {
  counter(
    "session_replays_total",
    "Sessions that another child was to take over, by outcome.",
    metrics.samples("replays"),
  );
  counter(
    "calls_resent_total",
    "Calls that went to another child because theirs ended.",
    metrics.samples("resent"),
  );
  counter(
    "calls_lost_total",
    "Calls that got an error because their child ended, by what ended it.",
    metrics.samples("lost"),
  );
  counter(
    "instance_drains_cut_total",
    "Children that were ended with calls under way after another had taken over.",
    metrics.samples("drainsCut"),
  );
  counter(
    "provider_refreshes_total",
    "Tokens that providers were asked for, by outcome.",
    metrics.samples("refreshes"),
  );
}

function addRequests({ gauge, counter }: Instruments, metrics: Metrics): void {
  gauge("requests_in_flight", "Requests under way, streams among them.", one(metrics.inFlight));
  counter("tool_calls_total", "Calls of tools, by outcome.", metrics.samples("calls"));
  if (metrics.isPerUser)
    counter(
      "user_tool_calls_total",
      "Calls of tools, by user and outcome.",
      metrics.samples("userCalls"),
    );
}

/** How the daemon itself fares: its failures, its delay, and what it could not hand on. */
function addDaemon({ gauge, counter }: Instruments, metrics: Metrics, gauges: Gauges): void {
  const contained = new Map(
    metrics.samples("contained").map(({ labels, value }) => [labels["owner"], value]),
  );
  counter(
    "contained_failures_total",
    "Failures of the supervisor's own that ended one request, session or child in place of the process.",
    OWNERS.map((owner) => ({ labels: { owner }, value: contained.get(owner) ?? 0 })),
  );
  const delays = Object.entries(metrics.loopDelay()).map(([quantile, value]) => ({
    labels: { quantile },
    value,
  }));
  gauge(
    "event_loop_delay_seconds",
    "How late the event loop was since the last time this was read.",
    delays,
  );
  counter(
    "audit_dropped_total",
    "Audit entries that the database did not take.",
    one(gauges.auditDropped),
  );
  gauge("audit_queue", "Audit entries that are not written yet.", one(gauges.auditWaiting));
  counter("log_dropped_total", "Log lines that nobody took.", one(gauges.logDropped));
  counter(
    "notifications_dropped_total",
    "Notifications of servers for which a slow client left no room.",
    one(gauges.notificationsDropped),
  );
}

/** What needs a person, and whether people were told. */
function addTroubles({ gauge, counter }: Instruments, metrics: Metrics, gauges: Gauges): void {
  const troubles = Object.entries(gauges.troubles).map(([kind, value]) => ({
    labels: { kind },
    value,
  }));
  gauge("troubles", "What needs a person, by kind.", troubles);
  counter(
    "notices_total",
    "Notices of troubles, by where they went and outcome.",
    metrics.samples("notices"),
  );
}

/** The library's own histogram observes value by value; these were counted already. */
function durationMetric(metrics: Metrics): Metric {
  const name = `${PREFIX}request_duration_seconds`;
  const get = () => ({
    name,
    help: "How long requests took, by route and class of status; streams from end to end.",
    type: "histogram",
    aggregator: "sum",
    values: metrics.durations().flatMap(({ labels, le, sum }) => [
      ...[...le].map(([bound, value]) => ({
        metricName: `${name}_bucket`,
        labels: { ...labels, le: bound },
        value,
      })),
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: le.get("+Inf") ?? 0 },
    ]),
  });
  return { name, get, collect: undefined } as unknown as Metric;
}
