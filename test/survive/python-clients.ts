import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { endWithUs } from "../helpers/end-with-us.ts";
import type { Front } from "./rig.ts";
import type { SomeClient } from "./sdk-clients.ts";

const CLIENT = fileURLToPath(new URL("client.py", import.meta.url));

interface Told {
  id: number;
  text?: string;
  error?: string;
}

/** A process of Python's FastMCP that is told what to do. */
class FastMcp {
  readonly #waiting = new Map<number, (told: Told) => void>();
  #child: ChildProcess | undefined;
  #id = 0;

  begin(bin: string): void {
    const child = spawn(join(bin, "python"), [CLIENT], { stdio: ["pipe", "pipe", "inherit"] });
    endWithUs(child);
    createInterface({ input: child.stdout }).on("line", (line) => {
      const told = JSON.parse(line) as Told;
      this.#waiting.get(told.id)?.(told);
      this.#waiting.delete(told.id);
    });
    this.#child = child;
  }

  async order(order: object): Promise<string> {
    const id = (this.#id += 1);
    const answered = new Promise<Told>((resolve) => this.#waiting.set(id, resolve));
    this.#child!.stdin!.write(`${JSON.stringify({ id, ...order })}\n`);
    const { text, error } = await answered;
    if (text === undefined) throw new Error(error);
    return text;
  }

  end(): void {
    this.#child?.stdin?.end();
    this.#child = undefined;
  }

  get runs(): boolean {
    return this.#child !== undefined;
  }
}

/** FastMCP's client over both fronts; `bin` is the folder of its Python's programs. */
export const pythonClients = (bin: string) => (): SomeClient[] =>
  (["sse", "mcp"] as const).map((front: Front) => {
    const python = new FastMcp();
    return {
      name: `FastMCP by /${front}`,
      front,
      open: async ({ url, headers, patienceMs }) => {
        if (!python.runs) python.begin(bin);
        await python.order({ do: "open", url: url(front), headers, patience: patienceMs / 1000 });
      },
      call: (tool, args) => python.order({ do: "call", tool, args }),
      read: (uri) => python.order({ do: "read", uri }),
      close: async () => {
        await python.order({ do: "close" });
        python.end();
      },
    };
  });
