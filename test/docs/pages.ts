import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Every page that people read, as paths from the root of the checkout. */
export const PAGES: readonly string[] = [
  ...globSync("*.md", { cwd: ROOT }),
  ...globSync("{docs,examples}/**/*.md", { cwd: ROOT }),
].toSorted();

export const readPage = (page: string): string => readFileSync(join(ROOT, page), "utf8");

/** Without what is shown as code, where a bracket or a # means something else. */
const prose = (page: string): string =>
  readPage(page)
    .replaceAll(/^```[^]*?^```$/gm, "")
    .replaceAll(/`[^`\n]*`/g, (code) => code.replaceAll(/[[\]()]/g, ""));

/** What its links lead to. */
export const linksIn = (page: string): string[] =>
  Array.from(prose(page).matchAll(/\]\(([^)\s]+)\)/g), (match) => match[1]!);

/** The anchors that a reader of GitHub finds: one for each heading. */
export const anchorsIn = (page: string): string[] =>
  Array.from(
    readPage(page)
      .replaceAll(/^```[^]*?^```$/gm, "")
      .matchAll(/^#+ (.+)$/gm),
    (match) =>
      match[1]!
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
        .replaceAll(/\s/g, "-"),
  );
