import type { Router } from "express";
import { mount } from "./answers.ts";
import { readBody } from "./input.ts";
import type { ControlParts } from "./parts.ts";

export function addReloadRoute(router: Router, { reload }: ControlParts): void {
  mount(router, "/reload", {
    post: async (req) => {
      readBody(req, []);
      return { body: await reload() };
    },
  });
}
