import type { ServerDef } from "../config/config.ts";
import { markOf } from "../tokens/tokens.ts";
import { revisionOf } from "./definition.ts";
import type { Live, Ref } from "./instance-types.ts";
import type { Manifest, ManifestKey, Manifests } from "./manifests.ts";

/** Whom a child shows itself to. */
export type Audience = Pick<ManifestKey, "era" | "capabilities" | "version">;

export interface LastShownOptions {
  readonly manifests: Pick<Manifests, "find" | "keep" | "drop">;
  readonly servers: (name: string) => ServerDef | undefined;
  /** The token that a child of this user would be started with now. */
  readonly tokenOf: (user: string, server: string) => string | undefined;
}

type Owner = Pick<Ref, "user" | "server">;

const isKept = (def: ServerDef | undefined): def is ServerDef =>
  def !== undefined && def.manifest && !def.stateful;

/** The manifests of instances, as their servers are defined and their tokens are now. */
export class LastShown {
  readonly #options: LastShownOptions;

  constructor(options: LastShownOptions) {
    this.#options = options;
  }

  /** Whether what this one shows is to be kept: it is what would be started now. */
  wants({ ref, startedAs }: Live): boolean {
    const def = this.#options.servers(ref.server);
    if (!isKept(def) || revisionOf(def) !== revisionOf(startedAs.def)) return false;
    return this.#tokenOf(ref) === startedAs.token;
  }

  /** What a child that was started now would show, as far as is known. */
  find({ user, server }: Owner, audience: Audience): Manifest | undefined {
    const { servers, manifests } = this.#options;
    const def = servers(server);
    if (!isKept(def)) return undefined;
    const token = this.#tokenOf({ user, server });
    if (token === undefined) return undefined;
    return manifests.find({ user, server, revision: revisionOf(def), token, ...audience });
  }

  /** What this one shows; undefined where it shows what is not to be kept. */
  keep(live: Live, audience: Audience, manifest: Manifest | undefined): void {
    if (!this.wants(live)) return;
    const { manifests } = this.#options;
    const { ref, startedAs } = live;
    const { user, server } = ref;
    const { def, token } = startedAs;
    const key = { user, server, revision: revisionOf(def), token, ...audience };
    if (manifest === undefined) manifests.drop(key);
    else manifests.keep(key, manifest);
  }

  /** Undefined where it cannot be read: a start would say why. */
  #tokenOf({ user, server }: Owner): string | undefined {
    try {
      return markOf(this.#options.tokenOf(user, server));
    } catch {
      return undefined;
    }
  }
}

/** The revisions of the servers whose manifests are kept. */
export function keptRevisions(servers: readonly ServerDef[]): ReadonlyMap<string, string> {
  return new Map(servers.filter(isKept).map((def) => [def.name, revisionOf(def)]));
}
