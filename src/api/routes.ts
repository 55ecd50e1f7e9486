import { Router } from "express";
import { addAccessRoutes } from "./access-routes.ts";
import { addApplyRoute } from "./apply-route.ts";
import { addAuditRoutes } from "./audit-routes.ts";
import { addBackupRoute } from "./backup-route.ts";
import { addDoctorRoutes } from "./doctor-routes.ts";
import { addInstanceRoutes } from "./instance-routes.ts";
import { addInviteRoutes } from "./invite-routes.ts";
import { addJwtRoutes } from "./jwt-routes.ts";
import { addKeyRoutes } from "./key-routes.ts";
import { addKeyringRoutes } from "./keyring-routes.ts";
import { addLogRoutes } from "./log-routes.ts";
import { addNoticeRoutes } from "./notice-routes.ts";
import { addOverviewRoutes } from "./overview-routes.ts";
import { addPanelRoutes } from "./panel-routes.ts";
import type { ControlParts } from "./parts.ts";
import { addReloadRoute } from "./reload-routes.ts";
import { addRefreshRoutes } from "./refresh-routes.ts";
import { addServerRoutes } from "./server-routes.ts";
import { addTokenRoutes } from "./token-routes.ts";
import { addToolRoutes } from "./tool-routes.ts";
import { addUserRoutes } from "./user-routes.ts";

/** Every path below `/api`, one file for each noun. `isLocal`: for the unix socket, which takes orders that TCP never does. */
export function createRoutes(parts: ControlParts, isLocal: boolean): Router {
  const router = Router({ caseSensitive: true, strict: true });
  addServerRoutes(router, parts, isLocal);
  addUserRoutes(router, parts);
  addRefreshRoutes(router, parts);
  addTokenRoutes(router, parts);
  addKeyRoutes(router, parts);
  addInviteRoutes(router, parts);
  addJwtRoutes(router, parts);
  addAccessRoutes(router, parts);
  addApplyRoute(router, parts);
  addKeyringRoutes(router, parts, isLocal);
  if (isLocal) addBackupRoute(router, parts);
  addInstanceRoutes(router, parts);
  addToolRoutes(router, parts);
  addLogRoutes(router, parts);
  addReloadRoute(router, parts);
  addAuditRoutes(router, parts);
  addDoctorRoutes(router, parts);
  addNoticeRoutes(router, parts);
  addPanelRoutes(router, parts, isLocal);
  addOverviewRoutes(router, parts);
  return router;
}
