import { add, el, labelled, redraw } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import { failureLine } from "../shared/frame.ts";
import type { Context } from "./context.ts";
import { headersField } from "./headers-field.ts";
import { PROGRAM_FIELDS, programFields } from "./program-fields.ts";
import type { ShownServer } from "./types.ts";
import { act, formOf, link } from "./ui.ts";

const JSON_SPACES = 2;
/** What every form has fields of its own for, or what never changes. */
const OWN = ["id", "slug", "name", "origin", "enabled", "description", "url", "headers"];

/** What the form is for. */
export interface FormAbout {
  /** Undefined for a new one. */
  readonly server: ShownServer | undefined;
  /** Whether programs may be set here. */
  readonly commands: boolean;
}

/** What the recipe says that has no field: timeouts, isolation and the like. */
function recipeOf(server: ShownServer | undefined): Record<string, unknown> {
  const own = new Set<string>([...OWN, ...(isProgram(server) ? PROGRAM_FIELDS : [])]);
  return Object.fromEntries(Object.entries(server ?? {}).filter(([key]) => !own.has(key)));
}

const isProgram = (server: ShownServer | undefined): boolean =>
  server !== undefined && server.url === undefined;

/** The object in a text; undefined where it is none. Nothing is one without keys. */
function objectIn(text: string): Record<string, unknown> | undefined {
  if (text.trim() === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // As any other text that is no object.
  }
  return undefined;
}

/**
 * A field of JSON for all that the form has no field for, and what of it was changed: a key that was
 * taken out is null. Undefined where the text holds no object. That of a program is read where it may not be set.
 */
function recipeField({ say }: Context, { server, commands }: FormAbout) {
  const before = recipeOf(server);
  const text = Object.keys(before).length === 0 ? "" : JSON.stringify(before, null, JSON_SPACES);
  const area = el("textarea", { rows: "6", spellcheck: "false", id: "recipe", value: text });
  area.readOnly = isProgram(server) && !commands;
  const changes = (): Record<string, unknown> | undefined => {
    if (area.value === text) return {};
    const said = objectIn(area.value);
    const gone = Object.keys(before).filter((key) => said !== undefined && !(key in said));
    return said && { ...Object.fromEntries(gone.map((key) => [key, null])), ...said };
  };
  const hint = say(commands ? "recipeHint" : "recipeNoPrograms");
  const element = el(
    "details",
    { id: "more" },
    el("summary", {}, say("recipe")),
    labelled(say("recipeJson"), area, hint),
  );
  return { element, changes };
}

interface Kind {
  readonly rows: readonly Child[];
  /** False where it cannot be sent; it says why. */
  readonly check: () => boolean;
  readonly body: () => Record<string, unknown>;
}

/** A server that is reached at a URL. */
function remoteKind(context: Context, server: ShownServer | undefined): Kind {
  const { say } = context;
  const value = server?.url ?? "";
  const url = el("input", { type: "url", autocomplete: "off", id: "url", value });
  url.placeholder = "http://localhost:3001/sse";
  const headers = headersField(context, Object.keys(server?.headers ?? {}));
  const body = (): Record<string, unknown> => {
    const text = headers.area.value.trim();
    return url.value === "" ? {} : { url: url.value.trim(), headers: text === "" ? {} : text };
  };
  const check = (): boolean => {
    const isRight = headers.check();
    if (!isRight) headers.area.focus();
    return isRight;
  };
  return { rows: [labelled("URL", url, say("urlHint")), headers.element], check, body };
}

/** A program of this machine, which is read where none may be set. */
function programKind(context: Context, { server, commands }: FormAbout): Kind {
  const { element, changes } = programFields(context, { server, isFixed: !commands });
  const hint = el("p", { class: "hint" }, context.say("recipeNoPrograms"));
  return {
    rows: [!commands && hint, element],
    check: () => true,
    body: () => (commands ? changes() : {}),
  };
}

/** What kind of server it is: of a new one that is to be chosen, where programs may be set. */
function kindField(context: Context, about: FormAbout): { rows: Child[]; kind: () => Kind } {
  const { server, commands } = about;
  if (server !== undefined || !commands) {
    const kind = isProgram(server) ? programKind(context, about) : remoteKind(context, server);
    return { rows: [...kind.rows], kind: () => kind };
  }
  const kinds = { url: remoteKind(context, undefined), program: programKind(context, about) };
  const select = el("select", { id: "kind" });
  add(
    select,
    el("option", { value: "url" }, context.say("atUrl")),
    el("option", { value: "program" }, context.say("program")),
  );
  const kind = (): Kind => (select.value === "program" ? kinds.program : kinds.url);
  const place = el("div", {}, ...kinds.url.rows);
  select.addEventListener("change", () => redraw(place, ...kind().rows));
  return { rows: [labelled(context.say("kindOfServer"), select), place], kind };
}

function fieldsOf(context: Context, about: FormAbout) {
  const { say } = context;
  const { server } = about;
  const { name: title = "", description: what = "" } = server ?? {};
  const name = el("input", { required: true, autocomplete: "off", id: "name", value: title });
  name.placeholder = "Drawing Server";
  const description = el("textarea", { rows: "2", id: "description", value: what });
  const { rows: ofKind, kind } = kindField(context, about);
  const recipe = recipeField(context, about);
  const isOn = server?.enabled ?? true;
  const enabled = el("input", { type: "checkbox", id: "enabled", checked: isOn });
  const rows = [
    labelled(say("serverName"), name),
    labelled(say("description"), description, say("formOptional")),
    ...ofKind,
    recipe.element,
    el("div", { class: "field" }, enabled, " ", el("label", { for: "enabled" }, say("enabled"))),
  ];
  /** What is to be stored; undefined where `recipe` holds no object. */
  const body = (): Record<string, unknown> | undefined => {
    const more = recipe.changes();
    return (
      more && {
        name: name.value,
        description: description.value,
        enabled: enabled.checked,
        ...kind().body(),
        ...more,
      }
    );
  };
  return { rows, kind, body };
}

/** The form of a server: a new one, or one that is there. `done` is called once it is stored. */
export function serverForm(
  context: Context,
  about: FormAbout,
  done: (stored: ShownServer) => void,
): HTMLElement {
  const { api, say } = context;
  const { server } = about;
  const failure = failureLine();
  const { rows, kind, body } = fieldsOf(context, about);
  const go = el("button", { type: "submit", class: "main", id: "save" }, say("save"));
  const save = async (): Promise<string> => {
    if (!kind().check()) return "";
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
