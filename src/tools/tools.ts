/** Room: tools. Calls of tools without a conversation, for people and programs that speak no MCP: which of the user's servers has a tool, and what it made of the call. In: an authenticated user, a tool's name, arguments. Out: the server's own words. Never reads a key; no tool runs twice. */
import { contained, unawaited } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Config, ServerDef } from "../config/config.ts";
import type { LastShown } from "../instances/last-shown.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import { resultIn } from "../mcp/outcome.ts";
import type { CallLinks, CallTarget } from "../sessions/call-links.ts";
import type { CallWatch } from "../sessions/calls.ts";
import type { SessionSettings } from "../sessions/session-options.ts";
import type { Sessions } from "../sessions/sessions.ts";
import { TokenGate } from "../sessions/token-gate.ts";
import type { Tokens } from "../tokens/tokens.ts";
import { calledIn, replicasOf, toolNotFound, whyNone } from "./choice.ts";
import type { Found } from "./choice.ts";
import { NotBegun, brokenOff, failureIn, isUnsent, unavailable } from "./failures.ts";
import { Offers } from "./offers.ts";
import { listOf } from "./tool-list.ts";
import type { ServerRow, ToolList } from "./tool-list.ts";
import { serverRow } from "./server-rows.ts";

export type ServerState = Pick<ServerRow, "slug" | "state">;
export type { ServerRow, ToolList } from "./tool-list.ts";

/** Whose servers, and what the request says of a session with one that is part of the daemon. */
export interface Caller {
  readonly user: string;
  readonly settingsOf: (server: ServerDef) => SessionSettings | undefined;
}

/** Of a call that an admin orders: in English, with the app that the server has. */
export const BY_ADMIN: Caller["settingsOf"] = (server) =>
  server.kind === "builtin"
    ? { caller: { language: "en", app: undefined }, mark: undefined }
    : undefined;

export interface WantedCall {
  readonly method: string;
  /** JSON text of an object. */
  readonly args: Buffer;
  /** Slug or URL of the server that is tried first, and alone where it `isStrict`. */
  readonly server: string | undefined;
  readonly isStrict: boolean;
}

export interface CallContext {
  readonly watch: CallWatch;
  /** Aborted once the caller has left. */
  readonly signal: AbortSignal;
  /** The call goes to this server now. */
  readonly onServer: (server: string) => void;
}

export interface CallResult {
  /** The CallToolResult as the server wrote it, JSON text in pieces. */
  readonly result: readonly Buffer[];
  readonly server: string;
}

export interface ToolsParts {
  readonly config: Pick<Config, "defaultServer">;
  readonly catalog: Pick<Catalog, "findFor" | "listFor" | "listOf">;
  readonly supervisor: Pick<Supervisor, "instance" | "list" | "started">;
  readonly sessions: Pick<Sessions, "calls" | "refusal">;
  readonly lastShown: Pick<LastShown, "find">;
  readonly tokens: Pick<Tokens, "renewalOf" | "handedOver">;
}

export class Tools {
  readonly #parts: ToolsParts;
  readonly #offers: Offers;
  readonly #links: CallLinks;
  readonly #gate: TokenGate;

  constructor(parts: ToolsParts) {
    this.#parts = parts;
    this.#links = parts.sessions.calls;
    this.#offers = new Offers({ lastShown: parts.lastShown, links: this.#links });
    this.#gate = new TokenGate(parts.tokens, parts.supervisor);
  }

  /**
   * Calls the tool, once. Rejects with TOOL_NOT_FOUND, SERVER_NOT_FOUND, REQUEST_INVALID for
   * arguments that the server does not take, TOOL_FAILED for its other errors and for a call that broke
   * off, and with a 503 where no server could be had that the call was sent to.
   */
  async call(caller: Caller, wanted: WantedCall, context: CallContext): Promise<CallResult> {
    const { refusal } = this.#parts.sessions;
    if (refusal !== undefined) throw refusal;
    let failure: SupervisorError | undefined;
    const tried = new Set<string>();
    for await (const targets of this.#candidates(caller, wanted)) {
      let left = targets.filter(({ server }) => !tried.has(server.name));
      while (left.length > 0) {
        const target = this.#leastBusy(left);
        tried.add(target.server.name);
        try {
          return await this.#callAt(caller, target, wanted, context);
        } catch (error) {
          if (!(error instanceof NotBegun)) throw error;
          failure ??= error.failure;
        }
        left = left.filter((one) => one !== target);
      }
    }
    throw unavailable(failure ?? toolNotFound(wanted.method));
  }

  /** All tools that a user has, or those of one server; SERVER_NOT_FOUND. */
  async list(caller: Caller, server: string | undefined): Promise<ToolList> {
    const only = server === undefined ? undefined : this.#find(caller, server);
    const targets = this.#targets(caller, only);
    const found = await Promise.all(
      targets.map(async (target): Promise<Found> => {
        const known = await this.#offers.known(target);
        const isAsleep = target.instance.live === undefined;
        if (known !== undefined && (known.isFresh || isAsleep)) return { target, ...known };
        const asked = await this.#asked(target);
        return "failure" in asked && known !== undefined ? { target, ...known } : asked;
      }),
    );
    return listOf(found, this.#parts.config.defaultServer);
  }

  /** How the user's servers are, without starting any. */
  async servers(caller: Caller): Promise<ServerRow[]> {
    const { supervisor } = this.#parts;
    const rows = supervisor.list({ user: caller.user });
    return await Promise.all(
      this.#targets(caller).map(async (target) => {
        const known = await this.#offers.known(target);
        return serverRow(target.server, rows, known?.offer);
      }),
    );
  }

  /** In which state the user's servers are. */
  states(user: string): ServerState[] {
    return this.#statesOf(this.#parts.catalog.listFor(user), { user });
  }

  /** In which state those are that the environment names, for all users together. */
  environmentStates(): ServerState[] {
    return this.#statesOf(this.#parts.catalog.listOf("environment"), {});
  }

  #statesOf(servers: readonly ServerDef[], whose: { user?: string }): ServerState[] {
    const rows = this.#parts.supervisor.list(whose);
    return servers.map((server) => {
      const { slug, state } = serverRow(server, rows, undefined);
      return { slug, state };
    });
  }

  #find({ user }: Caller, said: string): ServerDef {
    const server = calledIn(this.#parts.catalog.listFor(user), said);
    if (server === undefined)
      throw new SupervisorError("SERVER_NOT_FOUND", "there is no such server");
    return server;
  }

  #targets({ user, settingsOf }: Caller, only?: ServerDef): CallTarget[] {
    const servers = only === undefined ? this.#parts.catalog.listFor(user) : [only];
    return servers.map((server) => {
      const ref = { user, server: server.name, variant: "" };
      const instance = this.#parts.supervisor.instance(ref);
      return { instance, server, settings: settingsOf(server) };
    });
  }

  /** Those who may have the call, in groups of which the first goes first. Throws where nobody may. */
  async *#candidates(caller: Caller, wanted: WantedCall): AsyncGenerator<readonly CallTarget[]> {
    const { method, server, isStrict } = wanted;
    const { defaultServer } = this.#parts.config;
    const targets = this.#targets(caller);
    const servers = targets.map((target) => target.server);
    const called = server === undefined ? undefined : calledIn(servers, server);
    const first = targets.find((one) => one.server === called);
    if (isStrict && server !== undefined && first === undefined) this.#find(caller, server);
    const preferred = first && (await this.#lookFor(method, [first]));
    const isThere = preferred !== undefined && replicasOf(preferred, method, null).length > 0;
    if (isThere) yield [first!];
    else if (isStrict && preferred !== undefined) throw unavailable(whyNone(preferred, method));
    if (isStrict && preferred !== undefined) return;
    const found = await this.#lookFor(method, targets);
    const lead = isThere ? first!.server.name : defaultServer;
    const replicas = replicasOf(found, method, lead);
    if (replicas.length === 0) throw unavailable(whyNone(found, method));
    yield replicas;
  }

  /** What these have; where none has the tool, those are asked again that have others by now. */
  async #lookFor(tool: string, targets: readonly CallTarget[]): Promise<readonly Found[]> {
    const found = await Promise.all(targets.map((target) => this.#lookAt(target)));
    if (replicasOf(found, tool, null).length > 0) return found;
    if (!found.some(isOld)) return found;
    const again = async (one: Found): Promise<Found> =>
      isOld(one) ? await this.#asked(one.target) : one;
    return await Promise.all(found.map(again));
  }

  async #lookAt(target: CallTarget): Promise<Found> {
    const known = await this.#offers.known(target);
    if (known === undefined) return await this.#asked(target);
    if (!known.isFresh) unawaited("session", () => {}, this.#asked(target));
    return { target, ...known };
  }

  async #asked(target: CallTarget): Promise<Found> {
    try {
      return { target, offer: await this.#offers.ask(target), isFresh: true };
    } catch (error) {
      return { target, failure: contained("session", error) };
    }
  }

  /** With the fewest calls on their way; the first of those. */
  #leastBusy(targets: readonly CallTarget[]): CallTarget {
    const busy = (target: CallTarget): number => this.#links.find(target)?.calls ?? 0;
    return targets.reduce((least, one) => (busy(one) < busy(least) ? one : least));
  }

  /** Rejects with NotBegun where nothing of the call has gone out. */
  async #callAt(
    { user }: Caller,
    target: CallTarget,
    { method, args }: WantedCall,
    { watch, signal, onServer }: CallContext,
  ): Promise<CallResult> {
    const { server } = target;
    // It may have been taken from the user while the servers were asked for their tools.
    if (this.#parts.catalog.findFor(user, server.name) === undefined)
      throw new NotBegun(toolNotFound(method));
    onServer(server.name);
    const { link, release } = this.#links.hold(target);
    try {
      await notBegun(async () => {
        await this.#gate.waitOfCall(user, server);
        await link.ready(server.startTimeoutMs);
      });
      const answer = await link.call({ tool: method, args, watch, signal });
      const result = resultIn(answer);
      if (result === undefined) throw failureIn(answer, server.name);
      return { result, server: server.name };
    } catch (error) {
      if (error instanceof NotBegun) throw error;
      const failure = contained("request", error);
      if (isUnsent(failure)) throw new NotBegun(failure);
      throw brokenOff(failure);
    } finally {
      release();
    }
  }
}

const isOld = (one: Found): boolean => "offer" in one && !one.isFresh;

async function notBegun(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw new NotBegun(contained("session", error));
  }
}
