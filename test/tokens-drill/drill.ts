import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { loadConfig } from "../../src/config/config.ts";
import { openDataDir } from "../../src/store/store.ts";
import { placeOfGrant } from "../../src/tokens/refresh-once.ts";
import { openVault } from "../../src/vault/vault.ts";
import { CLIENT, StrictProvider } from "../fixtures/providers/strict.ts";
import { tokensOver } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";
import { SERVER, USERS } from "./names.ts";
import { VICTIMS } from "./victims.ts";
import type { VictimName } from "./victims.ts";

/** Longer than most of a refresh: most ends come while a provider is being asked. */
const ANSWER_MS = 25;
const FOUND_OUT_WITHIN_MS = 5000;

export interface DrillFigures {
  ends: number;
  /** Ends at which a provider was being asked. */
  during: number;
  /** Refresh tokens that nobody has any more. */
  lost: number;
}

/** What the parent sees of the data folder while nobody holds it, with a room of its own on it. */
async function looking<T>(
  configFile: string,
  look: (rooms: ReturnType<typeof roomsOf>) => Promise<T>,
): Promise<T> {
  const rooms = roomsOf(configFile);
  try {
    return await look(rooms);
  } finally {
    await rooms.tokens.close();
    rooms.dataDir.close();
  }
}

function roomsOf(configFile: string) {
  const config = loadConfig({ path: configFile });
  const dataDir = openDataDir(config.dataDir);
  const { store } = dataDir;
  const vault = openVault({ keyFile: join(config.dataDir, "vault.key"), store });
  const tokens = tokensOver({ store, vault }, config);
  return { dataDir, store, vault, tokens };
}

type Rooms = ReturnType<typeof roomsOf>;

/** Users whose refresh token is not the one that the provider would take. */
function lostIn({ store, vault }: Rooms, provider: StrictProvider): string[] {
  return store.grants
    .all()
    .filter(
      (row) => vault.open(store.grants.box(row)!, placeOfGrant(row)) !== provider.goodOf(row.user),
    )
    .map(({ user }) => user);
}

/** A start after an end without warning finds out what was lost, and nothing else; the access tokens serve. */
async function findOut(rooms: Rooms, lost: readonly string[]): Promise<void> {
  const { store, tokens } = rooms;
  const before = new Map(USERS.map((user) => [user, tokens.secretFor(user, SERVER)]));
  const startedAt = performance.now();
  tokens.refresher.start(() => new Set());
  const isOpen = (): boolean => store.grants.all().some(({ state }) => state === "inflight");
  await until(() => !isOpen(), "every token is known to be good or lost");
  assert.ok(performance.now() - startedAt < FOUND_OUT_WITHIN_MS);
  for (const { user, state, reason } of store.grants.all()) {
    assert.equal(state === "needs_reauth", lost.includes(user), `${user}: ${state}`);
    if (state !== "needs_reauth") continue;
    assert.match(reason!, /^crash window: /);
    assert.equal(tokens.secretFor(user, SERVER), before.get(user));
  }
}

export interface Drill {
  signal: "SIGTERM" | "SIGKILL";
  ends: number;
  victim?: VictimName;
}

/**
 * Ends a holder of refresh tokens of one use again and again, at random points. After a SIGTERM none is
 * lost; after a kill only those that the provider had answered for and that were not stored, which the
 * next start finds out.
 */
export async function endWhileRefreshing(
  folder: string,
  { signal, ends, victim: name = "holder" }: Drill,
): Promise<DrillFigures> {
  const provider = await StrictProvider.open({ kind: "feishu-v2", delayMs: ANSWER_MS });
  try {
    const secret = join(folder, "client.secret");
    writeFileSync(secret, CLIENT.secret, { mode: 0o400 });
    const configFile = join(folder, "supervisor.config.json");
    const servers = { [SERVER]: { command: "true", provider: "sso" } };
    const providers = { sso: provider.config(secret) };
    const daemon = { listen: { host: "127.0.0.1", port: 0 }, isolation: "none" };
    writeFileSync(configFile, JSON.stringify({ dataDir: "data", ...daemon, providers, servers }));
    await looking(configFile, async ({ store, tokens }) => {
      for (const user of USERS) {
        store.users.insert(user, 1);
        tokens.setRefreshToken(user, SERVER, provider.grant(user));
        await tokens.refresh(user, SERVER);
      }
    });
    const figures = { ends, during: 0, lost: 0 };
    for (let end = 0; end < ends; end += 1) {
      const victim = await VICTIMS[name](configFile);
      await delay(Math.random() * 150);
      await victim.end(signal);
      await looking(configFile, async (rooms) => {
        const open = rooms.store.grants.all().filter(({ state }) => state === "inflight");
        const lost = lostIn(rooms, provider);
        if (open.length > 0) figures.during += 1;
        figures.lost += lost.length;
        if (signal === "SIGTERM") {
          assert.deepEqual([lost, open], [[], []], "nothing is lost, and nothing unknown");
          return;
        }
        // Only what was under way can be lost.
        const names = open.map(({ user }) => user);
        assert.deepEqual(
          lost.filter((user) => !names.includes(user)),
          [],
        );
        await findOut(rooms, lost);
        for (const user of lost) rooms.tokens.setRefreshToken(user, SERVER, provider.grant(user));
        for (const user of lost) await rooms.tokens.refresh(user, SERVER);
      });
    }
    return figures;
  } finally {
    await provider.close();
  }
}
