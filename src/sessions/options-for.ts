import { openLink } from "../links/open-link.ts";
import type { Survival } from "../telemetry/survival.ts";
import type { Backends } from "./backends.ts";
import type { OpenLink, SessionOptions, SessionSettings, Whose } from "./session-options.ts";
import type { Showings } from "./showings.ts";

/** What all sessions have in common. */
export interface OptionParts {
  readonly backends: Backends;
  readonly showings: Showings;
  readonly postTimeoutMs: number;
  readonly survival: Survival | undefined;
}

/** What a session of this client with this server is made of. */
export function optionsFor(parts: OptionParts, whose: Whose): SessionOptions {
  const { holder, instance, server, settings } = whose;
  const { backends, showings, survival } = parts;
  const { stateful: isStateful, resend, transport } = server;
  return {
    holder,
    instance,
    mark: settings?.mark,
    showings: showings.of(transport),
    isStateful,
    staysBehind: isStateful,
    resend,
    patienceMs: server.startTimeoutMs,
    backends,
    connect: connectFor(parts, settings),
    survival,
  };
}

/** How links are opened for a client with these settings. */
export function connectFor(
  { backends, postTimeoutMs }: OptionParts,
  settings: SessionSettings | undefined,
): OpenLink {
  return (live, events) =>
    openLink({
      target: live.target,
      clientFor: (target) => backends.clientFor(live, target),
      postTimeoutMs,
      events,
      caller: settings?.caller,
    });
}
