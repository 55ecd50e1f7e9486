import { hash } from "node:crypto";
import { isRequest, isResponse } from "../mcp/envelope.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import type { Message } from "../mcp/envelope.ts";
import { textAt, valueAt } from "../mcp/json-span.ts";
import type { IdleHold, Usage } from "../instances/supervisor.ts";
import { LazyMap, LazySet } from "../platform/lazy.ts";

/** For a task that names no end; whoever waits for longer asks how it is, which is use. */
const TASK_MS = 60 * 60_000;
const LONGEST_TASK_MS = 24 * 60 * 60_000;

/**
 * Why one session needs its child to stay though no request of its is under way: subscriptions,
 * questions of the child that it has not answered, tasks (2025-11-25).
 */
export class IdleHolds implements IdleHold {
  readonly #usage: Usage;
  readonly #subscriptions = new LazySet<string>();
  /** Of the child, by id. */
  readonly #questions = new LazySet<string>();
  /** Subscriptions that the server may still refuse, by the id of the request. */
  readonly #unsure = new LazyMap<string, string>();

  /** `performance.now()` at which the last of its tasks may be over. */
  #tasksUntil = 0;

  constructor(usage: Usage) {
    this.#usage = usage;
  }

  /** A task of its may be under way, in whichever child. */
  get hasTask(): boolean {
    return this.#tasksUntil > performance.now();
  }

  /** Takes note of what the client sends. */
  sent(messages: readonly ClientMessage[]): void {
    for (const message of messages) {
      if (isResponse(message)) this.#answered(message.id!);
      else if (message.method === "resources/subscribe") this.#subscribe(message);
      else if (message.method === "resources/unsubscribe") this.#drop(subscriptionIn(message));
      else if (message.method === "tools/call") this.#task(message);
    }
  }

  /** Takes note of what the server sends. */
  received(messages: readonly Message[]): void {
    for (const message of messages) {
      if (isResponse(message)) this.#settle(message);
      else if (isRequest(message) && message.method !== "ping") this.#asked(message.id!);
      else if (message.method === "notifications/cancelled") this.#dropQuestions();
    }
  }

  /** The child that came after the one that is gone knows of these subscriptions. */
  restore(uris: readonly string[]): void {
    for (const uri of uris) this.#add(subscriptionTo(uri));
  }

  /** The session, or the child that it was about, is gone. */
  clear(): void {
    this.#unsure.clear();
    this.#dropQuestions();
    for (const reason of this.#subscriptions) this.#drop(reason);
  }

  #subscribe(message: ClientMessage): void {
    const { id } = message;
    const reason = subscriptionIn(message);
    if (id === undefined || this.#subscriptions.has(reason)) return;
    this.#add(reason);
    this.#unsure.set(id, reason);
  }

  #settle({ id, outcome }: Message): void {
    if (this.#unsure.size === 0) return;
    const reason = this.#unsure.get(id!);
    this.#unsure.delete(id!);
    if (reason !== undefined && outcome === "error") this.#drop(reason);
  }

  #task(message: ClientMessage): void {
    if (message.find(["params", "task"]) === undefined) return;
    const span = message.find(["params", "task", "ttl"]);
    const ttl = span === undefined ? NaN : Number(textAt(message.raw, span));
    const ms = ttl > 0 ? Math.min(ttl, LONGEST_TASK_MS) : TASK_MS;
    this.#tasksUntil = Math.max(this.#tasksUntil, performance.now() + ms);
    this.#usage.keepUntil = Math.max(this.#usage.keepUntil, this.#tasksUntil);
  }

  /** The server takes a question back. Which one is in the params; a client seldom has two open, and the other is no loss. */
  #dropQuestions(): void {
    for (const id of this.#questions) this.#answered(id);
  }

  #asked(id: string): void {
    this.#questions.add(id);
    this.#usage.holds.add(this);
  }

  #answered(id: string): void {
    if (this.#questions.delete(id)) this.#dropped();
  }

  #add(reason: string): void {
    this.#subscriptions.add(reason);
    this.#usage.holds.add(this);
  }

  #drop(reason: string): void {
    if (this.#subscriptions.delete(reason)) this.#dropped();
  }

  #dropped(): void {
    if (this.#subscriptions.size + this.#questions.size === 0) this.#usage.holds.delete(this);
    this.#usage.lastMessageAt = performance.now();
  }
}

/** A digest: what it is called is the client's choice, and may be as long as a message. */
function subscriptionIn(message: ClientMessage): string {
  const span = message.find(["params", "uri"]);
  return subscriptionTo(span && valueAt(message.raw, span));
}

function subscriptionTo(uri: unknown): string {
  return `subscription ${hash("sha256", JSON.stringify(uri ?? null), "base64")}`;
}
