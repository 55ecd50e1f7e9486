import { startDaemon } from "../helpers/daemon.ts";
import { orderControl } from "../helpers/control.ts";
import { Chromium } from "../helpers/chromium.ts";
import type { Page } from "../helpers/chromium.ts";
import { fixture } from "../helpers/fixtures.ts";
import { until } from "../helpers/until.ts";
import type { PanelLink } from "../../src/api/panel-types.ts";
import type { TestContext } from "node:test";

/** A daemon with a panel, and a browser that has opened it. */
export async function openPanel(t: TestContext, servers: object = {}, config: object = {}) {
  const daemon = await startDaemon(t, {
    config: {
      admin: { host: "127.0.0.1", port: 0 },
      servers: { echo: fixture("http", "echo-sse"), ...servers },
      defaultServer: "echo",
      ...config,
    },
  });
  const order = async <T>(method: string, path: string, body: object = {}): Promise<T> =>
    await orderControl<T>(daemon.socket, method, path, body);
  const browser = await Chromium.open(t, ["evil.example"]);
  const page = await browser.page();
  await trap(page);
  const link = async (): Promise<string> =>
    (await order<PanelLink>("POST", "/api/panel/links")).url;
  await page.goto(await link());
  await page.shows(/Sign out/);
  return { daemon, order, browser, page, link };
}

/** Whatever runs that should not, and whatever the policy had to stop, is written down by the page. */
export async function trap(page: Page): Promise<void> {
  await page.send("Page.addScriptToEvaluateOnNewDocument", {
    source: `self.trapped = [];
      self.alert = (what) => self.trapped.push("alert " + what);
      document.addEventListener("securitypolicyviolation", (event) =>
        self.trapped.push(event.violatedDirective + " " + event.blockedURI));`,
  });
}

export const trapped = async (page: Page): Promise<unknown> => await page.run("self.trapped");

export async function go(page: Page, place: string): Promise<void> {
  await page.run(`location.hash = ${JSON.stringify(`#${place}`)}`);
  await until(
    async () => (await page.run(`!document.body.innerText.match(/Loading …|正在加载/)`)) === true,
    `${place} is loaded`,
  );
}

export const speak = async (page: Page, language: string): Promise<void> => {
  await page.click(`#in-${language}`);
  await until(
    async () => (await page.run("document.documentElement.lang")) === language,
    `it speaks ${language}`,
  );
};

/** Types into the field as a person does, a key at a time; what `shown` gives after each. */
export async function typeKeys(page: Page, field: string, text: string, shown: string) {
  await page.run(`document.querySelector("${field}").focus()`);
  await page.run(`document.querySelector("${field}").select()`);
  const seen: unknown[] = [];
  for (const key of text) {
    await page.send("Input.insertText", { text: key });
    seen.push(await page.run(shown));
  }
  return seen;
}

/** The form for a new server, which is there once it is known what may be set. */
export async function openForm(page: Page): Promise<void> {
  await until(
    async () =>
      (await page.run(`document.querySelector("#add-server #headers") !== null`)) === true,
    "the form is there",
  );
  await page.run(`document.querySelector("#add-server").open = true`);
}
