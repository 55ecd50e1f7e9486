import type { Request, Router } from "express";
import { SupervisorError } from "../errors.ts";
import { mount, param } from "./answers.ts";
import { readBody } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import type { DroppedKey, RotatedKeyring } from "./types.ts";

/** `isLocal`: a key may come with the order. Over TCP it never may, whoever sends it. */
export function addKeyringRoutes(
  router: Router,
  { keyring }: Pick<ControlParts, "keyring">,
  isLocal: boolean,
): void {
  const rotate = (req: Request): RotatedKeyring => {
    const { key } = readBody(req, isLocal ? ["key"] : []);
    if (key === undefined) return { id: keyring.rotate() };
    if (typeof key !== "string")
      throw new SupervisorError("REQUEST_INVALID", "key must be a string");
    return { id: keyring.accept(key) };
  };

  const drop = async (req: Request): Promise<DroppedKey> => {
    const text = param(req, "id");
    // What is no number is the name of no key.
    const id = /^\d{1,10}$/.test(text) ? Number(text) : -1;
    if (id === -1) throw new SupervisorError("KEY_NOT_FOUND", "the vault has no such key");
    await keyring.drop(id);
    return { id };
  };

  mount(router, "/keyring", { get: async () => ({ body: await keyring.status() }) });
  mount(router, "/keyring/rotate", { post: (req) => ({ body: rotate(req) }) });
  mount(router, "/keyring/keys/:id", { delete: async (req) => ({ body: await drop(req) }) });
}
