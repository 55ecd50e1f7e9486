import { readFileSync } from "node:fs";
import path from "node:path";
import { SupervisorError } from "../../../errors.ts";
import { yamlValue } from "../../../config/yaml.ts";
import { Rotated } from "./cluster.ts";
import type { Cluster, Credentials } from "./cluster.ts";
import { EXEC_VERSIONS, ExecCredential } from "./exec-credential.ts";

type Entries = Readonly<Record<string, unknown>>;

/** What would weaken the connection, or is not done here. */
const REFUSED_OF_CLUSTER = {
  "insecure-skip-tls-verify": "would trust whoever answers: name the CA instead",
  "proxy-url": "is not supported",
};
const REFUSED_OF_USER = {
  "auth-provider": 'is gone from Kubernetes: use "exec"',
  username: "is gone from Kubernetes",
  as: "is not supported",
};

/** The cluster that a context of the kubeconfig leads to, null for its current one. CONFIG_UNREADABLE where it does not. */
export function clusterOfKubeconfig(file: string, context: string | null): Cluster {
  const config = new Kubeconfig(file);
  const { cluster, user } = config.named(context);
  config.refuse(cluster, REFUSED_OF_CLUSTER);
  config.refuse(user, REFUSED_OF_USER);
  const ca = config.text(cluster, "certificate-authority");
  const identity = identityOf(config, user, { cluster, ca });
  return {
    server: config.server(cluster),
    ca,
    serverName: textIn(cluster, "tls-server-name"),
    ...identity,
  };
}

type Identity = Pick<Cluster, "credentials" | "refused">;

function identityOf(
  config: Kubeconfig,
  user: Entries,
  of: { cluster: Entries; ca: string | undefined },
): Identity {
  if (user["exec"] !== undefined) {
    const plugin = new ExecCredential(config.plugin(entriesIn(user["exec"]), of));
    return { credentials: () => plugin.get(), refused: () => plugin.refused() };
  }
  const files = new Rotated((): Credentials => {
    const token = config.token(user);
    const [certificate, key] = ["client-certificate", "client-key"].map((name) =>
      config.text(user, name),
    );
    return { token, certificate, key };
  });
  // Now, so that what is wrong with it is told at the start.
  files.get();
  return {
    // oxlint-disable-next-line require-await -- what cannot be read rejects
    credentials: async () => files.get(),
    refused: () => files.refused(),
  };
}

/** A kubeconfig: YAML in which clusters, users and contexts are lists of named entries. */
class Kubeconfig {
  readonly #file: string;
  readonly #content: Entries;

  constructor(file: string) {
    this.#file = file;
    this.#content = entriesIn(this.#parse(this.#read(file)));
  }

  /** The cluster and the user of the context. */
  named(context: string | null): { cluster: Entries; user: Entries } {
    const name = context ?? textIn(this.#content, "current-context");
    if (name === undefined || name === "")
      throw this.#wrong('has no current context: name one as "context"');
    const { cluster, user } = this.#entry("contexts", "context", name);
    return {
      cluster: this.#entry("clusters", "cluster", cluster),
      user: this.#entry("users", "user", user),
    };
  }

  refuse(entry: Entries, refused: Readonly<Record<string, string>>): void {
    for (const [key, why] of Object.entries(refused))
      if (entry[key] !== undefined && entry[key] !== false) throw this.#wrong(`"${key}" ${why}`);
  }

  server(cluster: Entries): URL {
    const text = textIn(cluster, "server") ?? "";
    if (!URL.canParse(text) || new URL(text).protocol !== "https:")
      throw this.#wrong("names a cluster whose server is no https URL");
    return new URL(text);
  }

  /** What stands under `NAME-data` in base64, or in the file that `NAME` names. */
  text(entry: Entries, name: string): string | undefined {
    const data = textIn(entry, `${name}-data`);
    if (data !== undefined) return Buffer.from(data, "base64").toString("utf8");
    const file = textIn(entry, name);
    return file === undefined ? undefined : this.#read(this.#absolute(file));
  }

  token(user: Entries): string | undefined {
    const file = textIn(user, "tokenFile") ?? textIn(user, "token-file");
    return file === undefined ? textIn(user, "token") : this.#read(this.#absolute(file)).trim();
  }

  plugin(exec: Entries, { cluster, ca }: { cluster: Entries; ca: string | undefined }) {
    const apiVersion = textIn(exec, "apiVersion") ?? "";
    const command = textIn(exec, "command") ?? "";
    if (!EXEC_VERSIONS.includes(apiVersion))
      throw this.#wrong(`has an "exec" of another version than ${EXEC_VERSIONS.join(" and ")}`);
    if (command === "") throw this.#wrong('has an "exec" without a command');
    if (exec["interactiveMode"] === "Always")
      throw this.#wrong(`has an "exec" that needs a terminal: ${command}`);
    const data = ca === undefined ? undefined : Buffer.from(ca).toString("base64");
    const told = { server: cluster["server"], "certificate-authority-data": data };
    return {
      apiVersion,
      command: command.includes("/") ? this.#absolute(command) : command,
      args: listIn(exec["args"]).map(String),
      env: Object.fromEntries(
        listIn(exec["env"]).map((one) => {
          const entry = entriesIn(one);
          return [textIn(entry, "name") ?? "", textIn(entry, "value") ?? ""];
        }),
      ),
      cluster: exec["provideClusterInfo"] === true ? told : undefined,
    };
  }

  #entry(list: string, key: string, name: unknown): Entries {
    const found = listIn(this.#content[list])
      .map(entriesIn)
      .find((entry) => entry["name"] === name);
    if (found === undefined) throw this.#wrong(`has no ${key} "${String(name)}"`);
    return entriesIn(found[key]);
  }

  #absolute(file: string): string {
    return path.resolve(path.dirname(this.#file), file);
  }

  #read(file: string): string {
    try {
      return readFileSync(file, "utf8");
    } catch (error) {
      const { code = "unknown reason" } = error as NodeJS.ErrnoException;
      const of = file === this.#file ? "" : `, which ${this.#file} names,`;
      throw new SupervisorError("CONFIG_UNREADABLE", `${file}${of} cannot be read (${code})`);
    }
  }

  #parse(text: string): unknown {
    try {
      return yamlValue(text);
    } catch {
      throw this.#wrong("is not YAML");
    }
  }

  #wrong(what: string): SupervisorError {
    return new SupervisorError("CONFIG_UNREADABLE", `the kubeconfig ${this.#file} ${what}`);
  }
}

const entriesIn = (value: unknown): Entries =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Entries) : {};

const listIn = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

function textIn(entry: Entries, key: string): string | undefined {
  const value = entry[key];
  return typeof value === "string" ? value : undefined;
}
