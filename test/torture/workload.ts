import { fingerprintOf } from "./ledger.ts";
import { pick } from "./random.ts";
import type { Ledger, Told } from "./ledger.ts";
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
  told: Told;
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
    } else if (lot < 0.55) {
      const server = pick(random, ["telling", "plain"]);
      await life.control("POST", `/users/${name}/restart?server=${server}`, { graceful: true });
    } else if (lot < 0.75) {
      const token = `token-${random()}`;
      work.told.give(name, token);
      const account = { ...ledger.account(name), fingerprint: fingerprintOf(token) };
      ledger.attempt(name, account);
      const answer = await life.control("PUT", `/users/${name}/token`, { token });
      if (answer !== undefined) acknowledge(work, name, account);
    } else if (lot < 0.88) {
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
  work.told.give(user, token);
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
    const opened = await life.post(path, secret, message("initialize", HELLO));
    if (opened?.session === undefined) continue;
    const echo = message("tools/call", { name: "echo", arguments: { message: "x" } });
    await life.post(path, secret, echo, opened.session);
  }
}

/** A client with one session, which goes on while its server is replaced, until its user is removed or the daemon killed. */
export async function converse({ life, keys, random, told }: Workload): Promise<void> {
  while (!life.process.killed) {
    const all = [...keys.valid.values()];
    if (all.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      continue;
    }
    const { user, secret } = pick(random, all);
    const path = `/u/${user}/telling/mcp`;
    const opened = await life.post(path, secret, message("initialize", HELLO));
    if (opened?.session === undefined) continue;
    for (let calls = 0; calls < 10 && !life.process.killed; calls += 1) {
      const begunAt = told.latest(user);
      const tell = message("tools/call", { name: "tell", arguments: { ms: random() * 60 } });
      const text = textIn((await life.post(path, secret, tell, opened.session))?.body);
      // The user was removed, or the key revoked.
      if (text === undefined) break;
      told.check(user, text, begunAt);
    }
  }
}

function textIn(body: unknown): string | undefined {
  const { result } = (body ?? {}) as { result?: { content: { text: string }[] } };
  return result?.content[0]?.text;
}

const HELLO = {
  protocolVersion: "2025-06-18",
  capabilities: {},
  clientInfo: { name: "torture", version: "1" },
};

const message = (method: string, params: object) => ({ jsonrpc: "2.0", id: 1, method, params });
