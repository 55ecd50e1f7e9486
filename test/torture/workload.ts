import { fingerprintOf } from "./ledger.ts";
import { pick } from "./random.ts";
import type { Ledger } from "./ledger.ts";
import type { Life } from "./life.ts";

const MAX_USERS = 3;

interface Key {
  id: string;
  secret: string;
}

/** The secrets of the keys that were acknowledged, and of those that were revoked. */
export class Keys {
  readonly valid = new Map<string, { user: string; secret: string }>();
  readonly revoked = new Map<string, { user: string; secret: string }>();

  add(user: string, { id, secret }: Key): void {
    this.valid.set(id, { user, secret });
  }

  revoke(id: string): void {
    const key = this.valid.get(id);
    if (key) this.revoked.set(id, key);
    this.valid.delete(id);
  }
}

export interface Workload {
  life: Life;
  ledger: Ledger;
  keys: Keys;
  servers: readonly string[];
  random: () => number;
  /** After each acknowledgement. */
  onAcknowledged: () => void;
}

/** One admin who sees to users of their own, one change after the other, until the daemon is killed. */
export async function administrate(work: Workload, prefix: string): Promise<void> {
  const { life, ledger, keys, random } = work;
  while (!life.process.killed) {
    const mine = ledger.names(prefix);
    const name = mine.length === 0 ? undefined : pick(random, mine);
    const lot = random();
    if (name === undefined || (lot < 0.3 && mine.length < MAX_USERS)) {
      await add(work, `${prefix}${Math.floor(random() * 1e9)}`);
    } else if (lot < 0.45) {
      await remove(work, name);
    } else if (lot < 0.7) {
      const token = `token-${random()}`;
      const account = { ...ledger.account(name), fingerprint: fingerprintOf(token) };
      ledger.attempt(name, account);
      const answer = await life.control("PUT", `/users/${name}/token`, { token });
      if (answer !== undefined) acknowledge(work, name, account);
    } else if (lot < 0.85) {
      const before = ledger.account(name);
      ledger.attempt(name, before, true);
      const key = await life.control<Key>("POST", `/users/${name}/keys`, {});
      if (key === undefined) continue;
      keys.add(name, key);
      acknowledge(work, name, { ...before, keys: [...before.keys, key.id] });
    } else {
      await revoke(work, name);
    }
  }
}

function acknowledge(work: Workload, name: string, account: Parameters<Ledger["acknowledge"]>[1]) {
  work.ledger.acknowledge(name, account);
  work.onAcknowledged();
}

async function add(work: Workload, user: string): Promise<void> {
  const token = `token-${work.random()}`;
  const fingerprint = fingerprintOf(token);
  work.ledger.attempt(user, { fingerprint, keys: [] }, true);
  const added = await work.life.control<{ key: Key }>("POST", "/users", { user, token });
  if (added === undefined) return;
  work.keys.add(user, added.key);
  acknowledge(work, user, { fingerprint, keys: [added.key.id] });
}

async function remove(work: Workload, name: string): Promise<void> {
  const { keys } = work.ledger.account(name);
  work.ledger.attempt(name, null);
  if ((await work.life.control("DELETE", `/users/${name}`)) === undefined) return;
  for (const id of keys) work.keys.revoke(id);
  acknowledge(work, name, null);
}

async function revoke(work: Workload, name: string): Promise<void> {
  const account = work.ledger.account(name);
  if (account.keys.length < 2) return;
  const id = pick(work.random, account.keys);
  const after = { ...account, keys: account.keys.filter((key) => key !== id) };
  work.ledger.attempt(name, after);
  if ((await work.life.control("DELETE", `/keys/${id}`)) === undefined) return;
  work.keys.revoke(id);
  acknowledge(work, name, after);
}

/** A client who calls the children of whoever there is, until the daemon is killed. */
export async function call({ life, keys, servers, random }: Workload): Promise<void> {
  while (!life.process.killed) {
    const all = [...keys.valid.values()];
    if (all.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      continue;
    }
    const { user, secret } = pick(random, all);
    // Whatever the answers are: the user may be removed, or the token replaced, at this moment.
    const path = `/u/${user}/${pick(random, servers)}/mcp`;
    const initialize = {
      protocolVersion: "2025-06-18",
      capabilities: {},
      clientInfo: { name: "torture", version: "1" },
    };
    const opened = await life.post(path, secret, message("initialize", initialize));
    if (opened?.session === undefined) continue;
    const echo = message("tools/call", { name: "echo", arguments: { message: "x" } });
    await life.post(path, secret, echo, opened.session);
  }
}

const message = (method: string, params: object) => ({ jsonrpc: "2.0", id: 1, method, params });
