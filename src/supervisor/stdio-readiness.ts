import { SharedStdio } from "../upstream/shared-stdio.ts";
import type { Running } from "../runners/runner.ts";

export interface StdioReadinessInput {
  running: Pick<Running, "stdin" | "stdout">;
  /** What the clients of this child declared, as JSON text. */
  capabilities: string;
  version: string;
  /** Ends the wait: the child's exit, the deadline, or a stop. */
  signal: AbortSignal;
  onMissing: (missing: string) => void;
  /** The child wrote what is no message. */
  onFault: (what: string, line: Buffer | undefined) => void;
}

/** Resolves once the child has answered `initialize`. Rejects with the signal's reason, or UPSTREAM_INVALID for a refusal. */
export async function untilInitialized(input: StdioReadinessInput): Promise<SharedStdio> {
  const { running, capabilities, version, signal, onMissing, onFault } = input;
  onMissing("it did not answer initialize");
  const shared = new SharedStdio({
    stdin: running.stdin,
    stdout: running.stdout,
    capabilities,
    clientVersion: version,
    onFault,
  });
  await Promise.race([shared.initialize(), aborted(signal)]);
  return shared;
}

async function aborted(signal: AbortSignal): Promise<never> {
  return await new Promise((_resolve, reject) => {
    const fail = () => reject(signal.reason as Error);
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}
