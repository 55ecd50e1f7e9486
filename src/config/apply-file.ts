import { LineCounter, isMap, isNode, isScalar, parseDocument } from "yaml";
import type { Document } from "yaml";
import { SupervisorError } from "../errors.ts";
import { isCsv, readApplyCsv } from "./apply-csv.ts";
import { applyRefused, checkWanted } from "./apply-schema.ts";
import type { ApplyFile } from "./apply-schema.ts";

/**
 * What a file in YAML, of which JSON is a part, or in CSV wants. REQUEST_INVALID with all that is wrong with it as
 * details: `file:LINE: path: message`. Nothing in it is repeated but keys and names.
 */
export function readApplyFile(text: string, file: string): ApplyFile {
  if (isCsv(text, file)) return readApplyCsv(text, file);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number, what: string): string =>
    `${file}:${lines.linePos(offset).line}: ${what}`;
  const flaws = [...document.errors, ...document.warnings];
  if (flaws.length > 0)
    throw applyRefused(
      flaws.map(({ pos, code }) => at(pos[0], YAML_FLAWS[code] ?? `is no YAML (${code})`)),
      file,
    );
  const placed = (detail: string): string => {
    const offset = offsetOf(document, pathOf(detail));
    return offset === undefined ? `${file}: ${detail}` : at(offset, detail);
  };
  const value = valueOf(document, file);
  // With --prune a file that was cut off would disable everybody.
  if (value === null) throw new SupervisorError("REQUEST_INVALID", `${file}: is empty`);
  const checked = checkWanted(value);
  if ("wanted" in checked) return { wanted: checked.wanted, tokens: [], placed };
  throw applyRefused(checked.problems.map(placed), file);
}

/** The rest is said by its code: the sentences of the package quote what stands there. */
const YAML_FLAWS: Record<string, string> = {
  DUPLICATE_KEY: "a key is there twice",
  TAB_AS_INDENT: "a tab cannot indent: write blanks",
  BAD_INDENT: "is not indented as what stands around it",
  MULTIPLE_DOCS: "a second document begins: write one",
};

function valueOf(document: Document, file: string): unknown {
  try {
    return document.toJS();
  } catch (cause) {
    throw new SupervisorError("REQUEST_INVALID", `${file}: an alias names nothing, or too much`, {
      cause,
    });
  }
}

/** The path at the beginning of a sentence, as `formatProblem` writes it. */
function pathOf(detail: string): (string | number)[] {
  const [place = ""] = /^[\w$-]+(?:\.[\w$-]+|\[\d+\])*(?=: )/.exec(detail) ?? [];
  return [...place.matchAll(/\[(\d+)\]|([\w$-]+)/g)].map(([, index, key]) =>
    index === undefined ? key! : Number(index),
  );
}

/** Where that is in the file, or the nearest thing around it that is. */
function offsetOf(document: Document, path: readonly (string | number)[]): number | undefined {
  const last = path.at(-1);
  if (last === undefined) return undefined;
  const above = path.slice(0, -1);
  const parent = above.length === 0 ? document.contents : document.getIn(above, true);
  const key =
    isMap(parent) && typeof last === "string"
      ? parent.items.map((pair) => pair.key).find((one) => isScalar(one) && one.value === last)
      : undefined;
  const node = key ?? document.getIn(path, true);
  const offset = isNode(node) ? node.range?.[0] : undefined;
  return offset ?? offsetOf(document, above);
}
