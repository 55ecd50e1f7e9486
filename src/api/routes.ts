import { Router } from "express";
import { addAuditRoutes } from "./audit-routes.ts";
import { addDoctorRoutes } from "./doctor-routes.ts";
import { addInstanceRoutes } from "./instance-routes.ts";
import { addKeyRoutes } from "./key-routes.ts";
import { addLogRoutes } from "./log-routes.ts";
import type { ControlParts } from "./parts.ts";
import { addReloadRoute } from "./reload-routes.ts";
import { addTokenRoutes } from "./token-routes.ts";
import { addUserRoutes } from "./user-routes.ts";

/** Every path below `/api`, one file for each noun. */
export function createRoutes(parts: ControlParts): Router {
  const router = Router({ caseSensitive: true, strict: true });
  addUserRoutes(router, parts);
  addTokenRoutes(router, parts);
  addKeyRoutes(router, parts);
  addInstanceRoutes(router, parts);
  addLogRoutes(router, parts);
  addReloadRoute(router, parts);
  addAuditRoutes(router, parts);
  addDoctorRoutes(router, parts);
  return router;
}
