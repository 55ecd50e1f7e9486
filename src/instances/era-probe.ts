import { SupervisorError } from "../errors.ts";
import { definitionOf } from "./definition.ts";
import type { DefinitionMemory } from "./definition.ts";
import { launchChild } from "./launch.ts";
import { MODERN_VARIANT } from "./instance-types.ts";
import { OutputLog } from "./output-log.ts";
import { RestartPolicy, isShortage } from "./restart-policy.ts";
import type { ChildServer } from "../config/config.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import type { Era, Ref } from "./instance-types.ts";
import type { LaunchInput } from "./launch-types.ts";
import type { StartEnd } from "./start-slots.ts";

/** A legacy server may say nothing at all to what comes before `initialize`. */
const DISCOVER_PATIENCE_MS = 10_000;

export interface EraProbeOptions {
  scrubber: Scrubber;
  memory: DefinitionMemory;
  /** Aborts when the daemon stops. */
  signal: AbortSignal;
  /** How a throw-away child of this user and server is started. Rejects as a start does. */
  prepare: (
    ref: Ref,
    def: ChildServer,
  ) => Promise<{
    input: Omit<LaunchInput, "ref" | "output" | "onLine" | "onSpawn" | "capabilities" | "wanted">;
    endTurn: (end: StartEnd) => void;
  }>;
}

/**
 * Finds out which era a stdio server speaks, once per definition, on processes of its own: some
 * legacy servers end at a request that comes before `initialize`, so a child that serves somebody is
 * never asked (MCP 2026-07-28, stdio, backward compatibility).
 */
export class EraProbe {
  readonly #options: EraProbeOptions;
  readonly #asking = new Map<string, { readonly user: string; readonly era: Promise<Era> }>();
  /** What silence told: good until the daemon ends, because a slow start looks the same. */
  readonly #assumed = new Map<string, Era>();
  /** Of the users for whom the server starts in neither era. */
  readonly #policies = new Map<string, RestartPolicy>();

  constructor(options: EraProbeOptions) {
    this.#options = options;
  }

  /**
   * Rejects with what keeps the server from starting in either era, and after that with
   * INSTANCE_BACKING_OFF as an instance does.
   */
  async of(ref: Ref, def: ChildServer): Promise<Era> {
    const definition = definitionOf(def);
    for (;;) {
      const known = eraIn(this.#options.memory.find(definition)) ?? this.#assumed.get(definition);
      if (known !== undefined) return known;
      const asking = this.#asking.get(definition);
      if (asking === undefined) break;
      try {
        return await asking.era;
      } catch (error) {
        // It may have failed for another user's token; then it is to be asked with this one's.
        if (asking.user === ref.user) throw error;
      }
    }
    const era = this.#askInTurn(ref, def, definition).finally(() =>
      this.#asking.delete(definition),
    );
    this.#asking.set(definition, { user: ref.user, era });
    return await era;
  }

  /** Forgets what was held against servers of this user, or of all. */
  forgive(user: string | undefined): void {
    for (const key of this.#policies.keys())
      if (user === undefined || key.startsWith(`${user}/`)) this.#policies.delete(key);
  }

  /** Resolves when no throw-away child is left. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#asking.values()].map(({ era }) => era));
  }

  async #askInTurn(ref: Ref, def: ChildServer, definition: string): Promise<Era> {
    const key = `${ref.user}/${ref.server}`;
    const policy = this.#policies.get(key) ?? new RestartPolicy();
    const tooEarly = policy.refusal(ref, def.startTimeoutMs);
    if (tooEarly) throw tooEarly;
    await policy.wait(this.#options.signal);
    try {
      const era = await this.#ask(ref, def, definition);
      this.#policies.delete(key);
      return era;
    } catch (error) {
      if (error instanceof SupervisorError && !isShortage(error)) {
        policy.failed(error.message.replace(/^\S+: (?:the child )?/, ""));
        this.#policies.set(key, policy);
      }
      throw error;
    }
  }

  async #ask(ref: Ref, def: ChildServer, definition: string): Promise<Era> {
    const { memory } = this.#options;
    const discovered = await this.#try(ref, def, "modern");
    if (discovered === undefined) {
      memory.keep(definition, "modern");
      return "modern";
    }
    // What the machine lacked for a moment says nothing of the server.
    if (isShortage(discovered)) throw discovered;
    const { cause } = discovered;
    const isRefusal = cause instanceof SupervisorError && cause.code === "UPSTREAM_INVALID";
    const isSilence = discovered.code === "INSTANCE_START_TIMEOUT";
    // It ended or kept silent: a server that only dislikes the question starts when it is not asked.
    if (!isRefusal) {
      const initialized = await this.#try(ref, def, "legacy");
      if (initialized !== undefined) throw initialized;
    }
    if (isSilence) this.#assumed.set(definition, "legacy");
    else memory.keep(definition, "legacy");
    return "legacy";
  }

  /** Starts a child in this era and ends it; undefined when it was ready, else the failure. */
  async #try(ref: Ref, def: ChildServer, era: Era): Promise<SupervisorError | undefined> {
    const { input, endTurn } = await this.#options.prepare(ref, def);
    let end: StartEnd = "failed";
    try {
      const patienceMs = era === "modern" ? DISCOVER_PATIENCE_MS : input.startTimeoutMs;
      const outcome = await launchChild({
        ...input,
        ref: { ...ref, variant: era === "modern" ? MODERN_VARIANT : "probe" },
        capabilities: "{}",
        wanted: undefined,
        startTimeoutMs: Math.min(patienceMs, input.startTimeoutMs),
        output: new OutputLog(this.#options.scrubber),
        onLine() {},
        onSpawn() {},
      });
      if (!outcome.isReady) {
        await outcome.gone;
        return outcome.failure;
      }
      end = "well";
      await outcome.running.stop();
      return undefined;
    } finally {
      endTurn(end);
    }
  }
}

const eraIn = (text: string | undefined): Era | undefined =>
  text === "modern" || text === "legacy" ? text : undefined;
