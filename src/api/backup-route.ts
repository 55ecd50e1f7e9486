import { rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import type { Response, Router } from "express";
import { makeBackup } from "../operations/backup.ts";
import { mount } from "./answers.ts";
import { readBody } from "./input.ts";
import type { ControlParts } from "./parts.ts";

/** The file as the answer. It has no name any more by then, so a daemon that is killed leaves none. */
async function send(file: string, res: Response): Promise<void> {
  const handle = await open(file, "r").finally(() => rmSync(file, { force: true }));
  try {
    const { size } = await handle.stat();
    res.writeHead(200, { "content-type": "application/vnd.sqlite3", "content-length": size });
    // Who asked may be gone, and finds a file that is too short.
    await pipeline(handle.createReadStream({ autoClose: false }), res).catch(() => undefined);
  } finally {
    await handle.close();
  }
}

/** A copy of the database, which holds ciphertext only. */
export function addBackupRoute(router: Router, parts: ControlParts): void {
  const { config, store, keyring } = parts;
  mount(router, "/backup", {
    post: async (req) => {
      readBody(req, []);
      const file = await makeBackup({ dataDir: config.dataDir, store, keyring });
      return { send: (res) => send(file, res) };
    },
  });
}
