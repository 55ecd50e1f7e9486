import type { Request, Router } from "express";
import { SupervisorError } from "../errors.ts";
import type { Ref, Selector } from "../instances/supervisor.ts";
import { mount, param } from "./answers.ts";
import { readBody, readQuery } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import type { ActedOn } from "./types.ts";
import { statusOf } from "./status.ts";
import { requireServer, requireUser } from "./subjects.ts";

interface Subject {
  user: string;
  server: string | undefined;
}

export function addInstanceRoutes(router: Router, parts: ControlParts): void {
  const { registry, catalog, supervisor, config } = parts;

  const subject = (req: Request): Subject => {
    readBody(req, []);
    const { name } = requireUser(registry, param(req, "user"));
    const server = readQuery(req, "server");
    if (server !== undefined) requireServer(catalog, server);
    return { user: name, server };
  };

  /** A disabled user's children stay off, whoever asks. */
  const startable = (req: Request): Subject => {
    const found = subject(req);
    if (registry.requireUser(found.user).state === "disabled")
      throw new SupervisorError("USER_DISABLED", "the user is disabled");
    return found;
  };

  const running = (selector: Selector): Ref[] =>
    supervisor.list(selector).filter(({ state }) => state !== "stopped");

  /** Waits for all, so that a failure of one does not leave the others' outcome open. */
  const ensureAll = async (refs: readonly Ref[]): Promise<void> => {
    const outcomes = await Promise.allSettled(refs.map((ref) => supervisor.ensure(ref)));
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  };

  const rowsOf = async (user: string, refs: readonly Ref[]): Promise<ActedOn> => {
    const rows = await supervisor.status({ user });
    const isMeant = (row: Ref): boolean =>
      refs.some((ref) => ref.server === row.server && ref.variant === row.variant);
    return { user, instances: rows.filter(isMeant) };
  };

  const defaultOf = ({ user, server = config.defaultServer }: Subject): Ref => ({
    user,
    server,
    variant: "",
  });

  const start = async (who: Subject): Promise<ActedOn> => {
    const refs = [defaultOf(who)];
    supervisor.forgive({ user: who.user, server: refs[0]!.server });
    await ensureAll(refs);
    return await rowsOf(who.user, refs);
  };

  const stop = async (who: Subject): Promise<ActedOn> => {
    const refs = running(who);
    await supervisor.stop(who, "stopped by an admin");
    return await rowsOf(who.user, refs);
  };

  const restart = async (who: Subject): Promise<ActedOn> => {
    const found = running(who);
    const refs = found.length > 0 ? found : [defaultOf(who)];
    await supervisor.restart(who, "restarted by an admin");
    await ensureAll(refs);
    return await rowsOf(who.user, refs);
  };

  mount(router, "/status", {
    get: async (req) => {
      const user = readQuery(req, "user");
      if (user !== undefined) registry.requireUser(user);
      return { body: await statusOf(parts, user) };
    },
  });
  mount(router, "/users/:user/start", {
    post: async (req) => ({ body: await start(startable(req)) }),
  });
  mount(router, "/users/:user/stop", { post: async (req) => ({ body: await stop(subject(req)) }) });
  mount(router, "/users/:user/restart", {
    post: async (req) => ({ body: await restart(startable(req)) }),
  });
}
