import type { Request, Response, Router } from "express";
import { SupervisorError } from "../errors.ts";
import { HAS_LEFT } from "../mcp/messages.ts";
import { BY_ADMIN } from "../tools/tools.ts";
import { callAnswer, listAnswer } from "../tools/answers.ts";
import type { CallContext, Caller, WantedCall } from "../tools/tools.ts";
import { mount, param } from "./answers.ts";
import type { SentAnswer } from "./answers.ts";
import { isObject, readBody, readBoolean, readQuery } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import { requireUser } from "./subjects.ts";

const invalid = (message: string): SupervisorError =>
  new SupervisorError("REQUEST_INVALID", message);

/** The user whose tools are meant; the children of one who is disabled stay off, whoever asks. */
function callerOf({ registry }: ControlParts, req: Request): Caller {
  const { name: user, state } = requireUser(registry, param(req, "user"));
  if (state === "disabled") throw new SupervisorError("USER_DISABLED", "the user is disabled");
  return { user, settingsOf: BY_ADMIN };
}

function wantedIn(req: Request): WantedCall {
  const {
    method,
    args = {},
    server,
    strict,
  } = readBody(req, ["method", "args", "server", "strict"]);
  if (typeof method !== "string" || method === "")
    throw invalid("method must be the name of a tool");
  if (!isObject(args)) throw invalid("args must be a JSON object");
  if (server !== undefined && typeof server !== "string")
    throw invalid("server must be a server's name or URL");
  const isStrict = readBoolean(strict, "strict");
  return { method, args: Buffer.from(JSON.stringify(args)), server, isStrict };
}

/** What becomes of the call goes to the audit, as of whoever ordered it. */
function contextOf({ audit }: ControlParts, req: Request, user: string): CallContext {
  const res = req.res!;
  const left = new AbortController();
  res.once("close", () => left.abort(HAS_LEFT));
  const requestId = String(res.locals["requestId"]);
  let server = "";
  const begin: CallContext["watch"]["begin"] = (what) => {
    const startedAt = performance.now();
    return {
      end: (outcome, bytesOut, why) => {
        const durationMs = performance.now() - startedAt;
        const who = String(res.locals["who"]);
        const how = { outcome, reason: why ?? null, bytesIn: null, bytesOut, durationMs };
        const about = { user, server, requestId, who, what };
        audit.add({ at: Date.now(), kind: "call", ...about, ...how });
      },
    };
  };
  const onServer = (name: string): void => void (server = name);
  return { watch: { requestId, failApart: () => {}, begin }, signal: left.signal, onServer };
}

const sent = (text: string | Buffer): SentAnswer => ({
  send: async (res: Response) => void res.type("json").end(text),
});

/** Tools of a user, and calls of them in the user's name. */
export function addToolRoutes(router: Router, parts: ControlParts): void {
  const { tools } = parts;
  mount(router, "/users/:user/tools", {
    get: async (req) =>
      sent(listAnswer(await tools.list(callerOf(parts, req), readQuery(req, "server")))),
    post: async (req) => {
      const caller = callerOf(parts, req);
      const context = contextOf(parts, req, caller.user);
      const result = await tools.call(caller, wantedIn(req), context);
      return sent(Buffer.concat(callAnswer(result)));
    },
  });
}
