import type { Credential } from "../../src/auth/principal.ts";
import type { ServerDef } from "../../src/config/config.ts";
import { EventLog, EventLogs } from "../../src/sessions/event-log.ts";
import { Flow } from "../../src/sessions/flow.ts";
import type { NumberedStream } from "../../src/sessions/numbered-stream.ts";
import { AllUnread, Unread } from "../../src/sessions/unread.ts";
import type { Instance } from "../../src/instances/supervisor.ts";
import { openLink } from "../../src/links/open-link.ts";
import { Backends } from "../../src/sessions/backends.ts";
import type { Claim } from "../../src/sessions/belongs.ts";
import type { SessionOptions } from "../../src/sessions/session-options.ts";

/** What a session that is there is found without. */
const HELD = {} as ServerDef;
const ALICE: Credential = { user: "alice", issuer: "key", credentialId: "k1" };

/** By what a client with an access key claims a session of that instance. */
export const by = ({ instance }: { instance: Instance }, holder: Credential = ALICE): Claim => ({
  holder,
  instance,
  server: HELD,
});

/** What a session of alice's on that instance begins with, over a link of the kind that its server takes. */
export function sessionOptions(instance: Instance, holder = ALICE): SessionOptions {
  const backends = new Backends();
  return {
    holder,
    instance,
    backends,
    connect: ({ target }, events) =>
      openLink({
        target,
        clientFor: (http) => backends.clientFor(instance.live!, http),
        postTimeoutMs: 10_000,
        events,
      }),
    isStateful: false,
    staysBehind: false,
    resend: "reads",
    patienceMs: 10_000,
  };
}

/** What a session of Streamable HTTP has for clients that come back. */
export function forReturns(
  limits = { unreadBytes: 1024 * 1024, unreadTotalBytes: 1024 * 1024 },
  resumeWindowMs = 60_000,
) {
  const log = new EventLog<NumberedStream>(new EventLogs(), 256);
  const flow = new Flow(log, new Unread(new AllUnread(limits)));
  return { log, flow, resumeWindowMs, onParked() {} };
}
