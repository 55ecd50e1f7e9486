import type { Request, Router } from "express";
import type { Origin } from "../catalog/catalog.ts";
import type { ServerDef } from "../config/config.ts";
import { SupervisorError } from "../errors.ts";
import type { BookedServer } from "../operations/server-book.ts";
import { shownEntry } from "../operations/server-entry.ts";
import { mount, param } from "./answers.ts";
import { isAboutServer } from "./admin-log.ts";
import { readBoolean, readFlag } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import { readServerBody, readServers } from "./server-body.ts";
import type { ServerBody } from "./server-body.ts";
import type { ShownServer } from "./types.ts";

function shown({ id, slug, name, description, state, entry }: BookedServer): ShownServer {
  const isChild = entry["command"] !== undefined;
  return {
    id,
    slug,
    name,
    origin: "rest",
    ...(isChild && { type: "stdio" }),
    ...shownEntry(entry),
    ...(description !== null && { description }),
    enabled: state === "enabled",
  };
}

/** Of a server that other places have: what tells it from others, and no value of a header or a variable. */
function shownOther(def: ServerDef, origin: Origin, enabled: boolean): ShownServer {
  const head = { id: `${origin}:${def.name}`, slug: def.name, name: def.title, origin };
  if (def.kind === "builtin") return { ...head, builtin: def.builtin, enabled };
  const { transport: type } = def;
  if (def.kind === "remote") {
    const { url, headers } = def;
    return { ...head, type, ...shownEntry({ url, ...named("headers", headers) }), enabled };
  }
  const { command, args, cwd, env } = def;
  const entry = shownEntry({ command, args, cwd, ...named("env", env) });
  return { ...head, type, ...entry, enabled };
}

const named = (key: string, values: Readonly<Record<string, string>>): object =>
  Object.keys(values).length === 0 ? {} : { [key]: values };

const OTHERS = ["config", "environment"] as const;

export function addServerRoutes(router: Router, parts: ControlParts, isLocal: boolean): void {
  const { catalog, config, servers } = parts;
  const mayRun = isLocal || (config.admin !== false && config.admin.commands === true);

  const others = (): ShownServer[] =>
    OTHERS.flatMap((origin) => [
      ...catalog.listOf(origin).map((def) => shownOther(def, origin, true)),
      ...catalog.disabledOf(origin).map((def) => shownOther(def, origin, false)),
    ]);

  const list = (): ShownServer[] => [...others(), ...servers.list().map((one) => shown(one))];

  const show = (id: string): ShownServer =>
    others().find((one) => one.id === id) ?? shown(servers.require(id));

  /** The server of the path, which is one that can be changed here; SERVER_FIXED for one that cannot. */
  const requireOwn = (req: Request): string => {
    const id = param(req, "id");
    const { slug, origin } = show(id);
    isAboutServer(req, slug);
    if (origin === "rest") return id;
    const where = origin === "config" ? "the config file, and reload" : "the environment";
    throw new SupervisorError("SERVER_FIXED", `${slug} cannot be changed here: change ${where}`);
  };

  const read = (req: Request): ServerBody => readServerBody(req, { isLocal, mayRun });

  const add = async (req: Request): Promise<ShownServer> => {
    const { repeated, name, ...wish } = read(req);
    const [key] = Object.keys(repeated);
    if (key !== undefined)
      throw new SupervisorError("REQUEST_INVALID", `${key}: is given to a new server, not taken`);
    if (name === undefined) throw new SupervisorError("REQUEST_INVALID", "name: is missing");
    const added = await servers.create({ ...wish, name });
    isAboutServer(req, added.slug);
    return shown(added);
  };

  const change = async (req: Request): Promise<ShownServer> => {
    const { repeated, ...wish } = read(req);
    const id = requireOwn(req);
    const now: Record<string, unknown> = { ...show(id) };
    const other = Object.keys(repeated).find((key) => repeated[key] !== now[key]);
    if (other !== undefined)
      throw new SupervisorError("REQUEST_INVALID", `${other}: never changes`);
    return shown(await servers.change(id, wish));
  };

  mount(router, "/mcp/configs", {
    get: () => ({ body: { configs: list() } }),
    post: async (req) => ({ status: 201, body: await add(req) }),
  });
  mount(router, "/mcp/import", {
    post: async (req) => {
      const all = readServers(req, { isLocal, mayRun });
      const { replace } = (req.body ?? {}) as { replace?: unknown };
      return { body: await servers.import(all, readBoolean(replace, "replace")) };
    },
  });
  mount(router, "/mcp/configs/:id", {
    get: (req) => ({ body: show(param(req, "id")) }),
    patch: async (req) => ({ body: await change(req) }),
    delete: async (req) => ({
      body: await servers.remove(requireOwn(req), readFlag(req, "keepData")),
    }),
  });
}
