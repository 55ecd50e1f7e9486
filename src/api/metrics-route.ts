import type { Request, Response } from "express";
import { SupervisorError } from "../errors.ts";
import { droppedLines } from "../telemetry/logger.ts";
import type { Gauges } from "../telemetry/metrics.ts";
import type { ControlParts } from "./parts.ts";

function gaugesOf(parts: ControlParts): Gauges {
  const { registry, sessions, supervisor, audit, log, notices } = parts;
  return {
    users: registry.countUsers(),
    sessions: sessions.count,
    streams: sessions.open.streamCount,
    instances: supervisor.counts(),
    spawnsWaiting: supervisor.waitingStarts,
    auditDropped: audit.dropped,
    auditWaiting: audit.waiting,
    logDropped: droppedLines(log),
    notificationsDropped: sessions.unread.dropped,
    troubles: notices.counts(),
  };
}

/** `GET /metrics`, for Prometheus. The library is loaded by whoever asks first. */
export function createMetricsRoute(parts: ControlParts) {
  return async (req: Request, res: Response): Promise<void> => {
    if (req.method !== "GET" && req.method !== "HEAD") {
      res.setHeader("allow", "GET, HEAD");
      throw new SupervisorError("METHOD_NOT_ALLOWED", "only GET can be used on this path");
    }
    const { metricsText } = await import("../telemetry/metrics-text.ts");
    const { text, contentType } = await metricsText(parts.metrics, gaugesOf(parts), parts.version);
    res.setHeader("content-type", contentType);
    res.end(text);
  };
}
