import { SupervisorError } from "../errors.ts";
import { applyRefused, checkWanted } from "./apply-schema.ts";
import type { ApplyFile, WantedToken } from "./apply-schema.ts";

const COLUMNS = ["slug", "name", "email", "server", "token"] as const;
type Column = (typeof COLUMNS)[number];

interface Row {
  line: number;
  cells: string[];
}

/** Whether the text is CSV: by the file's name, or by a header line that names the first column. */
export const isCsv = (text: string, file: string): boolean =>
  /\.csv$/i.test(file) || /^\uFEFF?(?:[\w"]+,)*"?slug"?[ \t]*(?:,|\r?\n|$)/i.test(text);

/** A cell, quoted or plain, and what ends it (RFC 4180). */
const CELL = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|$)/y;

/** The rows of the text, or the line at which it is no CSV. */
function rowsOf(text: string): { rows: Row[] } | { badLine: number } {
  const rows: Row[] = [];
  let [at, line] = [0, 1];
  let row: Row = { line, cells: [] };
  while (at < text.length) {
    CELL.lastIndex = at;
    const found = CELL.exec(text);
    if (found === null) return { badLine: line };
    const [whole, quoted, plain = "", end] = found;
    row.cells.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    at = CELL.lastIndex;
    line += whole.split("\n").length - 1;
    if (end === ",") {
      // A comma at the very end has an empty cell behind it.
      if (at === text.length) row.cells.push("");
      continue;
    }
    rows.push(row);
    row = { line, cells: [] };
  }
  if (row.cells.length > 0) rows.push(row);
  return { rows: rows.filter(({ cells }) => cells.length > 1 || cells[0] !== "") };
}

/** The columns of a header line; a sentence where it is none. It is not repeated: without a header a token may stand there. */
function columnsOf(header: readonly string[]): Column[] | string {
  const names = header.map((cell) => cell.trim().toLowerCase());
  const wrong = names.findIndex((name) => !(COLUMNS as readonly string[]).includes(name));
  if (wrong !== -1)
    return `column ${wrong + 1} of the header line is none of ${COLUMNS.join(", ")}; they are separated by commas`;
  if (new Set(names).size < names.length) return "the header line names a column twice";
  return names.includes("slug") ? (names as Column[]) : "the header line has no slug";
}

type Cells = Partial<Record<Column, string>>;

interface Person {
  line: number;
  name: string;
  about: { displayName?: string; email?: string };
  servers: string[];
}

/** Rows of one user become one user; what two rows say differently is a problem. */
function collect(rows: readonly { line: number; cells: Cells }[], at: (line: number) => string) {
  const people = new Map<string, Person>();
  const tokens = new Map<string, WantedToken>();
  const problems: string[] = [];
  for (const { line, cells } of rows) {
    const { slug = "", server = "", token = "" } = cells;
    const person = people.get(slug) ?? { line, name: slug, about: {}, servers: [] };
    people.set(slug, person);
    for (const [key, said] of [
      ["displayName", cells.name],
      ["email", cells.email],
    ] as const) {
      if (said === undefined || said === "") continue;
      if ((person.about[key] ?? said) !== said)
        problems.push(`${at(line)}: the user has another ${key} than in an earlier line`);
      person.about[key] ??= said;
    }
    if (server !== "" && !person.servers.includes(server)) person.servers.push(server);
    if (token === "") continue;
    const place = `${slug}/${server}`;
    if ((tokens.get(place)?.token ?? token) !== token)
      problems.push(`${at(line)}: there are two tokens for one user and server`);
    tokens.set(place, { user: slug, server: server === "" ? null : server, token });
  }
  return { people: [...people.values()], tokens: [...tokens.values()], problems };
}

/**
 * What a file of CSV wants: a header line, then a line for each user and server. REQUEST_INVALID with
 * all that is wrong as details: `file:LINE: message`. No cell is repeated.
 */
export function readApplyCsv(text: string, file: string): ApplyFile {
  const at = (line: number): string => `${file}:${line}`;
  const read = rowsOf(text.replace(/^\uFEFF/, ""));
  if ("badLine" in read) throw applyRefused([`${at(read.badLine)}: a quote stands alone`], file);
  const [header, ...lines] = read.rows;
  if (header === undefined) throw new SupervisorError("REQUEST_INVALID", `${file}: is empty`);
  const columns = columnsOf(header.cells);
  if (typeof columns === "string") throw applyRefused([`${at(header.line)}: ${columns}`], file);
  const uneven = lines.filter(({ cells }) => cells.length !== columns.length);
  if (uneven.length > 0)
    throw applyRefused(
      uneven.map(({ line }) => `${at(line)}: has not as many cells as the header line`),
      file,
    );
  const rows = lines.map(({ line, cells }) => ({
    line,
    cells: Object.fromEntries(columns.map((name, index) => [name, cells[index]!])) as Cells,
  }));
  const { people, tokens, problems } = collect(rows, at);
  const placed = (detail: string): string => {
    const person = people[Number(/^users\[(\d+)\]/.exec(detail)?.[1])];
    return person === undefined ? `${file}: ${detail}` : `${at(person.line)}: ${detail}`;
  };
  const users = people.map(({ name, about, servers }) => ({ name, ...about, servers }));
  const checked = checkWanted({ users });
  const all = [...problems, ...("wanted" in checked ? [] : checked.problems.map(placed))];
  if (all.length > 0 || !("wanted" in checked)) throw applyRefused(all, file);
  return { wanted: checked.wanted, tokens, placed };
}
