import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import type { TestContext } from "node:test";
import { isInstalled } from "./installed.ts";
import { atEnd } from "./daemon.ts";
import { until } from "./until.ts";

/** Why there is no browser to test with; false where there is one. */
export const NO_CHROMIUM = isInstalled("chromium") ? false : "chromium is not installed";

type Params = Record<string, unknown>;
type Event = { method: string; params: Params; sessionId?: string };
type Answer = { id: number; result?: Params; error?: object };

const FLAGS = [
  "--headless=new",
  "--remote-debugging-pipe",
  // The tests may be root's, and all pages are ours.
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-extensions",
  "--disable-sync",
];

/** A real browser, driven by the DevTools protocol over a pipe. */
export class Chromium {
  readonly #write: Writable;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #listeners = new Set<(event: Event) => void>();
  #count = 0;

  private constructor(write: Writable, read: Readable) {
    this.#write = write;
    let rest = "";
    read.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\0");
      rest = parts.pop()!;
      for (const part of parts) this.#take(JSON.parse(part) as Event | Answer);
    });
  }

  /** Gone at the end of the test. `hosts`: names that lead to this machine. */
  static async open(t: TestContext, hosts: readonly string[] = []): Promise<Chromium> {
    const profile = mkdtempSync(join(tmpdir(), "chromium-"));
    const rules = hosts.map((host) => `MAP ${host} 127.0.0.1`).join(",");
    const args = [`--user-data-dir=${profile}`, `--host-resolver-rules=${rules}`];
    const child = spawn("chromium", [...FLAGS, ...args], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
      env: { ...process.env, HOME: profile },
    });
    const ended = once(child, "close");
    const [, , , write, read] = child.stdio;
    const browser = new Chromium(write as Writable, read as Readable);
    atEnd(t, async () => {
      await Promise.race([browser.send("Browser.close"), ended]).catch(() => {});
      await ended;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    });
    return browser;
  }

  async send(method: string, params: Params = {}, sessionId?: string): Promise<Params> {
    const id = (this.#count += 1);
    const answer = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    this.#write.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    const { result, error } = await answer;
    if (error !== undefined) throw new Error(`${method}: ${JSON.stringify(error)}`);
    return result ?? {};
  }

  /** A browser with cookies of its own, as if it were another one. */
  async stranger(): Promise<string> {
    return String((await this.send("Target.createBrowserContext"))["browserContextId"]);
  }

  async page(browserContextId?: string): Promise<Page> {
    const { targetId } = await this.send("Target.createTarget", {
      url: "about:blank",
      browserContextId,
    });
    const attached = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const sessionId = String(attached["sessionId"]);
    const page = new Page((method, params) => this.send(method, params, sessionId));
    this.#listeners.add((event) => {
      if (event.sessionId === sessionId) page.heard(event);
    });
    await page.send("Page.enable");
    await page.send("Network.enable");
    return page;
  }

  #take(message: Event | Answer): void {
    if ("id" in message) this.#waiting.get(message.id)?.(message);
    else for (const listen of this.#listeners) listen(message);
  }
}

/** One tab. */
export class Page {
  readonly send: (method: string, params?: Params) => Promise<Params>;
  /** What it has asked for, in order, with the headers that say where it comes from. */
  readonly requests: { url: string; method: string; headers: Record<string, string> }[] = [];

  constructor(send: Page["send"]) {
    this.send = send;
  }

  heard({ method, params }: Event): void {
    if (method !== "Network.requestWillBeSent") return;
    const { url, method: verb, headers } = params["request"] as Page["requests"][0];
    this.requests.push({ url, method: verb, headers });
  }

  async goto(url: string): Promise<void> {
    await this.send("Page.navigate", { url });
    await until(async () => (await this.run("document.readyState")) === "complete", url);
  }

  /** What the expression gives in the page, awaited; undefined while a navigation replaces the page. */
  async run(expression: string): Promise<unknown> {
    const asked = { expression, awaitPromise: true, returnByValue: true, userGesture: true };
    const answer = await this.send("Runtime.evaluate", asked).catch(() => undefined);
    return (answer?.["result"] as { value?: unknown } | undefined)?.value;
  }

  /** What a person sees. */
  async text(): Promise<string> {
    const text = await this.run("document.body?.innerText");
    return typeof text === "string" ? text : "";
  }

  async shows(pattern: RegExp): Promise<string> {
    let text = "";
    return await until(
      async () => (pattern.test((text = await this.text())) ? text : undefined),
      String(pattern),
    ).catch((error: unknown) => {
      throw new Error(`${String(pattern)} is not shown, but:\n${text}`, { cause: error });
    });
  }

  async type(field: string, value: string): Promise<void> {
    await this.run(
      `document.querySelector(${JSON.stringify(field)}).value = ${JSON.stringify(value)}`,
    );
  }

  /** Types into the field and presses the button of the form. */
  async submit(field: string, value: string): Promise<void> {
    await this.type(field, value);
    await this.click("form [type=submit]");
  }

  async click(selector: string): Promise<void> {
    await this.run(`document.querySelector(${JSON.stringify(selector)}).click()`);
  }

  /** Presses a key as a person does: `Tab`, `Enter`, `Escape`, `ArrowDown`. */
  async press(key: string): Promise<void> {
    const text = key === "Enter" ? "\r" : undefined;
    const codes: Record<string, number> = { Tab: 9, Enter: 13, Escape: 27, ArrowDown: 40 };
    const event = { key, code: key, windowsVirtualKeyCode: codes[key] };
    await this.send("Input.dispatchKeyEvent", {
      type: text ? "keyDown" : "rawKeyDown",
      text,
      ...event,
    });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
  }

  /** Types where the focus is, as a person does. */
  async write(text: string): Promise<void> {
    await this.send("Input.insertText", { text });
  }

  async look({ width, scheme }: { width: number; scheme: "light" | "dark" }): Promise<void> {
    const size = { width, height: 800, deviceScaleFactor: 1, mobile: false };
    await this.send("Emulation.setDeviceMetricsOverride", size);
    const features = [{ name: "prefers-color-scheme", value: scheme }];
    await this.send("Emulation.setEmulatedMedia", { features });
  }

  /** The last address asked for that begins so. */
  asked(start: string): string | undefined {
    return this.requests.findLast(({ url }) => url.startsWith(start))?.url;
  }
}
