// For the compiler alone. The pages import nothing of the daemon's and write down for themselves what
// they read: what the daemon answers has to be that.
import type { Finding } from "../../src/api/finding.ts";
import type * as panelApi from "../../src/api/panel-types.ts";
import type * as api from "../../src/api/types.ts";
import type * as me from "../../src/gateway/me/types.ts";
import type { StateName } from "../../src/instances/supervisor.ts";
import type * as ofMe from "../../src/web/browser/me/types.ts";
import type * as ofPanel from "../../src/web/browser/panel/types.ts";

/** `Answer`, which does not compile where it is not what the page reads. */
type ReadAs<Page, Answer extends Page> = [Page, Answer];

export type Panel = [
  ReadAs<ofPanel.StateName, StateName>,
  ReadAs<ofPanel.Overview, panelApi.Overview>,
  ReadAs<ofPanel.History, panelApi.History>,
  ReadAs<ofPanel.PanelSession, panelApi.PanelSession>,
  ReadAs<ofPanel.Finding, Finding>,
  ReadAs<ofPanel.ListedUser, api.ListedUser>,
  ReadAs<ofPanel.ShownUser, api.ShownUser>,
  ReadAs<ofPanel.UserAccess, api.UserAccess>,
  ReadAs<ofPanel.ListedSession, api.ListedSession>,
  ReadAs<ofPanel.Diagnosis, api.Diagnosis>,
  ReadAs<ofPanel.ShownServer, api.ShownServer>,
  ReadAs<ofPanel.Imported, api.ImportedServers>,
  ReadAs<ofPanel.AuditEntry, api.AuditEntry>,
  ReadAs<ofPanel.RequestStory, api.RequestStory>,
  ReadAs<ofPanel.LogRow, api.LogRow>,
];

export type Me = [
  ReadAs<ofMe.Session, me.SignedIn>,
  ReadAs<ofMe.Server, me.OwnServer>,
  ReadAs<ofMe.Urls, me.OwnUrls>,
  ReadAs<ofMe.Accounts, me.OwnAccounts>,
  ReadAs<ofMe.Key, me.OwnKeys["keys"][number]>,
  ReadAs<ofMe.BrowserSession, me.Browsers["sessions"][number]>,
  ReadAs<ofMe.ClientSession, me.Clients["sessions"][number]>,
  ReadAs<ofMe.Call, me.OwnCalls["calls"][number]>,
  ReadAs<ofMe.Line, me.OwnLogs["lines"][number]>,
];
