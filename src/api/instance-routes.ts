import type { Request, Router } from "express";
import { keyOf } from "../instances/supervisor.ts";
import type { Ref, Selector } from "../instances/supervisor.ts";
import { restartInstances, startInstance, stopInstances } from "../operations/run-instances.ts";
import type { RunSubject } from "../operations/run-instances.ts";
import { mount } from "./answers.ts";
import { readBody, readBoolean, readQuery } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import { statusOf, statusRows } from "./status.ts";
import { readServer, readSubject } from "./subjects.ts";
import type { ActedOn, StatusRow } from "./types.ts";

type Order = (parts: ControlParts, subject: RunSubject) => Promise<Ref[]>;

/** Carries out the order; the rows are of the instances that it was about. */
async function actOn(parts: ControlParts, req: Request, order: Order): Promise<ActedOn> {
  const subject = readSubject(parts, req);
  const refs = await order(parts, subject);
  return { user: subject.user, instances: await rowsOf(parts, subject, refs) };
}

async function rowsOf(
  { supervisor }: ControlParts,
  selector: Selector,
  refs: readonly Ref[],
): Promise<StatusRow[]> {
  const meant = new Set(refs.map(keyOf));
  return (await statusRows(supervisor, selector)).filter((row) => meant.has(keyOf(row)));
}

export function addInstanceRoutes(router: Router, parts: ControlParts): void {
  mount(router, "/status", {
    get: async (req) => {
      const user = readQuery(req, "user");
      if (user !== undefined) parts.registry.requireUser(user);
      return { body: await statusOf(parts, { user, server: readServer(parts.catalog, req) }) };
    },
  });
  mount(router, "/stop", {
    post: async (req): Promise<{ body: Pick<ActedOn, "instances"> }> => {
      readBody(req, []);
      const selector = { server: readServer(parts.catalog, req) };
      const refs = await stopInstances(parts, selector);
      return { body: { instances: await rowsOf(parts, selector, refs) } };
    },
  });
  mount(router, "/users/:user/start", {
    post: async (req) => {
      readBody(req, []);
      return { body: await actOn(parts, req, startInstance) };
    },
  });
  mount(router, "/users/:user/stop", {
    post: async (req) => {
      readBody(req, []);
      return { body: await actOn(parts, req, stopInstances) };
    },
  });
  mount(router, "/users/:user/restart", {
    post: async (req) => {
      const { graceful } = readBody(req, ["graceful"]);
      const isGraceful = readBoolean(graceful, "graceful");
      const restart: Order = (all, subject) => restartInstances(all, subject, isGraceful);
      return { body: await actOn(parts, req, restart) };
    },
  });
}
