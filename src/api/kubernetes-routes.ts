import type { Router } from "express";
import { rotateAuthority } from "../operations/rotate-authority.ts";
import { mount } from "./answers.ts";
import { readBody } from "./input.ts";
import type { ControlParts } from "./parts.ts";

/** Orders about the cluster that children run in. */
export function addKubernetesRoutes(
  router: Router,
  parts: Pick<ControlParts, "authorities" | "store">,
): void {
  mount(router, "/kubernetes/rotate-ca", {
    post: async (req) => {
      readBody(req, []);
      return { body: await rotateAuthority(parts) };
    },
  });
}
