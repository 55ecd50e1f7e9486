import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { PAGES, ROOT, anchorsIn, linksIn, readPage } from "./pages.ts";

const MAX_README_BYTES = 8_000;

/** What is wrong with a link of this page, if anything. */
function flaw(page: string, link: string): string | undefined {
  if (/^https?:/.test(link)) return URL.canParse(link) ? undefined : "is no URL";
  const [path = "", anchor] = link.split("#", 2);
  const target = path === "" ? page : normalize(join(dirname(page), path));
  if (!existsSync(join(ROOT, target))) return "leads to no file";
  if (anchor === undefined || anchorsIn(target).includes(anchor)) return undefined;
  return `${target} has no such heading`;
}

for (const page of PAGES)
  test(`every link and anchor in ${page} leads somewhere`, () => {
    const flaws = linksIn(page)
      .map((link) => [link, flaw(page, link)])
      .filter(([, problem]) => problem !== undefined);
    assert.deepEqual(flaws, []);
  });

test("no page has two headings with one anchor", () => {
  const linked = new Set(PAGES.flatMap(linksIn).flatMap((link) => link.split("#", 2).slice(1)));
  for (const page of PAGES) {
    const anchors = anchorsIn(page).filter((anchor) => linked.has(anchor));
    assert.equal(new Set(anchors).size, anchors.length, page);
  }
});

test("the README is short, and leads to every page of docs, those of clients by way of one", () => {
  assert.ok(statSync(join(ROOT, "README.md")).size <= MAX_README_BYTES);
  const ofClients = linksIn("docs/clients.md").map((link) => `docs/${link}`);
  const links = [...linksIn("README.md"), ...ofClients];
  assert.deepEqual(
    PAGES.filter((page) => page.startsWith("docs/") && !links.includes(page)),
    [],
  );
});

test("what a page links to is in the tarball with it", () => {
  const { files } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    files: string[];
  };
  // npm packs these without being asked.
  const packed = [...files, "README.md", "LICENSE", "package.json"];
  const isPacked = (path: string): boolean =>
    packed.some((entry) => path === entry || path.startsWith(`${entry}/`));
  for (const page of PAGES) assert.ok(isPacked(page), page);
  const linked = PAGES.flatMap((page) =>
    linksIn(page)
      .filter((link) => !/^(https?:|#)/.test(link))
      .map((link) => normalize(join(dirname(page), link.split("#")[0]!))),
  );
  assert.deepEqual(
    linked.filter((path) => !isPacked(path)),
    [],
  );
});

test("every page says in its first lines what it is about", () => {
  for (const page of PAGES) assert.match(readPage(page), /^# .+\n\n[A-Z]/, page);
});
