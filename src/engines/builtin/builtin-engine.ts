import type { Builtins } from "../../builtins/builtins.ts";
import type { BuiltinServer } from "../../config/config.ts";
import type { Running, Workload } from "../engine.ts";
import { EngineWithoutProcesses, runningAt } from "../without-processes.ts";

/** Servers that are part of the daemon: there is nothing to start, and the next call has the token of then. */
export class BuiltinEngine extends EngineWithoutProcesses<BuiltinServer> {
  readonly #builtins: Pick<Builtins, "serve">;

  constructor(builtins: Pick<Builtins, "serve">) {
    super();
    this.#builtins = builtins;
  }

  protected run({ ref, def, token: first }: Workload<BuiltinServer>): Running {
    let token = first;
    const server = this.#builtins.serve(ref.user, def, () => token);
    return runningAt({ kind: "builtin", server }, (next) => void (token = next));
  }
}
