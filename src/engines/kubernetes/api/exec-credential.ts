import { execFile } from "node:child_process";
import { SupervisorError } from "../../../errors.ts";
import type { Credentials } from "./cluster.ts";

/** A program that says who we are, as a kubeconfig names it. */
export interface ExecPlugin {
  readonly apiVersion: string;
  /** As the system is to find it. */
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What it is told of the cluster; undefined where it asks for nothing. */
  readonly cluster: object | undefined;
}

export const EXEC_VERSIONS = [
  "client.authentication.k8s.io/v1",
  "client.authentication.k8s.io/v1beta1",
];

const MAX_OUTPUT_BYTES = 1024 * 1024;
const PATIENCE_MS = 30_000;
/** What is about to expire would be refused on its way. */
const MARGIN_MS = 30_000;

interface Answer {
  readonly apiVersion?: string;
  readonly status?: {
    readonly token?: string;
    readonly clientCertificateData?: string;
    readonly clientKeyData?: string;
    readonly expirationTimestamp?: string;
  };
}

/** Credentials that a program hands out, kept until they expire or are refused. Several who ask at once share one run. */
export class ExecCredential {
  readonly #plugin: ExecPlugin;
  #kept: { readonly credentials: Credentials; readonly until: number } | undefined;
  #running: Promise<Credentials> | undefined;

  constructor(plugin: ExecPlugin) {
    this.#plugin = plugin;
  }

  /** Rejects with CONFIG_UNREADABLE where the program gives none. */
  async get(): Promise<Credentials> {
    if (this.#kept !== undefined && Date.now() < this.#kept.until) return this.#kept.credentials;
    this.#running ??= this.#fetch().finally(() => (this.#running = undefined));
    return await this.#running;
  }

  refused(): void {
    this.#kept = undefined;
  }

  async #fetch(): Promise<Credentials> {
    const { command, apiVersion } = this.#plugin;
    const { status, ...answer } = answerIn(await run(this.#plugin), command);
    const { token, clientCertificateData: certificate, clientKeyData: key } = status ?? {};
    if (answer.apiVersion !== apiVersion || (token ?? (certificate && key)) === undefined)
      throw refused(command, `its answer holds no credentials of ${apiVersion}`);
    const expires = Date.parse(status?.expirationTimestamp ?? "");
    const until = Number.isNaN(expires) ? Infinity : expires - MARGIN_MS;
    const credentials = { token, certificate, key };
    this.#kept = { credentials, until };
    return credentials;
  }
}

async function run({ command, args, env, apiVersion, cluster }: ExecPlugin): Promise<string> {
  const spec = { interactive: false, ...(cluster !== undefined && { cluster }) };
  const info = JSON.stringify({ apiVersion, kind: "ExecCredential", spec });
  const options = {
    env: { ...process.env, ...env, KUBERNETES_EXEC_INFO: info },
    maxBuffer: MAX_OUTPUT_BYTES,
    timeout: PATIENCE_MS,
    encoding: "utf8",
  } as const;
  return await new Promise((resolve, reject) => {
    const child = execFile(command, [...args], options, (error, stdout) => {
      // What it wrote may be a secret; how it ended is none.
      if (error) reject(refused(command, endOf(error)));
      else resolve(stdout);
    });
    child.stdin?.end();
  });
}

function endOf({
  code,
  signal,
  killed,
}: Error & { code?: unknown; signal?: unknown; killed?: boolean }): string {
  if (killed === true) return `it did not end within ${PATIENCE_MS / 1000} s`;
  return typeof code === "number" ? `it exited with code ${code}` : String(code ?? signal);
}

function answerIn(text: string, command: string): Answer {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // As for any other text that is none.
  }
  throw refused(command, "its answer is not JSON");
}

const refused = (command: string, why: string): SupervisorError =>
  new SupervisorError(
    "CONFIG_UNREADABLE",
    `the kubeconfig's program ${command} gave no credentials: ${why}`,
  );
