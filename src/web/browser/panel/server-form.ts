import { button, el, labelled } from "../shared/dom.ts";
import { foreign } from "../shared/foreign.ts";
import { failureLine } from "../shared/frame.ts";
import type { Context } from "./context.ts";
import { headersField } from "./headers-field.ts";
import type { ShownServer } from "./types.ts";
import { act, formOf, link } from "./ui.ts";

const JSON_SPACES = 2;
/** What the form has fields of its own for, or what never changes. */
const OWN = new Set(["id", "slug", "name", "origin", "enabled", "description", "url", "headers"]);

/** What else the recipe says, as it is: the fields of a program, timeouts, and the like. */
function recipeOf(server: ShownServer | undefined): string {
  const rest = Object.entries(server ?? {}).filter(([key]) => !OWN.has(key));
  return rest.length === 0 ? "" : JSON.stringify(Object.fromEntries(rest), null, JSON_SPACES);
}

/** A field of JSON for all that the form has no field for, and what it holds; undefined where that is no object. */
function recipeField({ say }: Context, server: ShownServer | undefined) {
  const area = el("textarea", {
    rows: "6",
    spellcheck: "false",
    id: "recipe",
    value: recipeOf(server),
  });
  const before = area.value;
  const changes = (): Record<string, unknown> | undefined => {
    if (area.value === before || area.value.trim() === "") return {};
    try {
      const value: unknown = JSON.parse(area.value);
      if (typeof value === "object" && value !== null && !Array.isArray(value))
        return value as Record<string, unknown>;
    } catch {
      // As any other text that is no object.
    }
    return undefined;
  };
  const element = el(
    "details",
    { id: "more" },
    el("summary", {}, say("recipe")),
    labelled(say("recipeJson"), area, say("recipeHint")),
  );
  return { element, changes };
}

function fieldsOf(context: Context, server: ShownServer | undefined) {
  const { say } = context;
  const { name: title = "", url: address = "", description: about = "" } = server ?? {};
  const name = el("input", { required: true, autocomplete: "off", id: "name", value: title });
  const url = el("input", { type: "url", autocomplete: "off", id: "url", value: address });
  name.placeholder = "Drawing Server";
  url.placeholder = "http://localhost:3001/sse";
  const description = el("textarea", { rows: "2", id: "description", value: about });
  const headers = headersField(context, Object.keys(server?.headers ?? {}));
  const recipe = recipeField(context, server);
  const isOn = server?.enabled ?? true;
  const enabled = el("input", { type: "checkbox", id: "enabled", checked: isOn });
  const isProgram = server !== undefined && server.url === undefined;
  const rows = [
    labelled(say("serverName"), name),
    !isProgram && labelled("URL", url, say("urlHint")),
    labelled(say("description"), description, say("formOptional")),
    !isProgram && headers.element,
    recipe.element,
    el("div", { class: "field" }, enabled, " ", el("label", { for: "enabled" }, say("enabled"))),
  ];
  /** What is to be stored; undefined where `recipe` holds no object. */
  const body = (): Record<string, unknown> | undefined => {
    const more = recipe.changes();
    if (more === undefined) return undefined;
    const text = headers.area.value.trim();
    const remote = { url: url.value.trim(), headers: text === "" ? {} : text };
    return {
      name: name.value,
      description: description.value,
      enabled: enabled.checked,
      ...(url.value === "" ? {} : remote),
      ...more,
    };
  };
  return { rows, headers, body };
}

/** The form of a server: a new one, or one that is there. `done` is called once it is stored. */
export function serverForm(
  context: Context,
  server: ShownServer | undefined,
  done: (stored: ShownServer) => void,
): HTMLElement {
  const { api, say } = context;
  const failure = failureLine();
  const { rows, headers, body } = fieldsOf(context, server);
  const go = el("button", { type: "submit", class: "main", id: "save" }, say("save"));
  const save = async (): Promise<string> => {
    if (!headers.check()) {
      headers.area.focus();
      return "";
    }
    const stored = body();
    if (stored === undefined) throw new Error(say("recipeNoObject"));
    const [method, path] =
      server === undefined
        ? (["POST", "mcp/configs"] as const)
        : (["PATCH", `mcp/configs/${encodeURIComponent(server.id)}`] as const);
    done(await api.send<ShownServer>(method, path, stored));
    return say("saved");
  };
  const buttons = el("div", { class: "row" }, go, link(say("cancel"), "servers"));
  return formOf([...rows, buttons, failure], () => void act(context, go, failure, save));
}

interface Imported {
  name: string;
  outcome: string;
}

/** Entries of a file as clients have them, which become servers one by one. */
export function importForm(context: Context, done: () => void): HTMLElement {
  const { api, say } = context;
  const failure = failureLine();
  const told = el("ul", {});
  const area = el("textarea", { rows: "8", spellcheck: "false", id: "import" });
  area.placeholder = '{ "mcpServers": { "drawing": { "url": "http://localhost:3001/sse" } } }';
  const go = button(say("import"), () => void act(context, go, failure, work), { class: "main" });
  const one = async ([name, entry]: [string, unknown]): Promise<Imported> => {
    try {
      await api.send("POST", "mcp/configs", { ...(entry as object), name });
      return { name, outcome: say("done") };
    } catch (error) {
      return { name, outcome: error instanceof Error ? error.message : String(error) };
    }
  };
  const work = async (): Promise<string> => {
    const entries = entriesIn(area.value);
    if (entries === undefined) throw new Error(say("importNoEntries"));
    told.replaceChildren();
    for (const entry of entries) {
      const { name, outcome } = await one(entry);
      told.append(el("li", {}, foreign(name), ": ", foreign(outcome)));
    }
    done();
    return say("done");
  };
  return el(
    "details",
    { id: "import-servers" },
    el("summary", {}, say("import")),
    labelled(say("importJson"), area, say("importHint")),
    go,
    failure,
    told,
  );
}

function entriesIn(text: string): [string, unknown][] | undefined {
  try {
    const file = JSON.parse(text) as Record<string, unknown>;
    const entries = file["mcpServers"] ?? file["servers"];
    if (typeof entries === "object" && entries !== null && !Array.isArray(entries))
      return Object.entries(entries);
  } catch {
    // As a text without entries.
  }
  return undefined;
}
