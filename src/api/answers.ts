import type { NextFunction, Request, RequestHandler, Response, Router } from "express";
import { SupervisorError } from "../errors.ts";
import { isJson } from "../http/read-body.ts";

/** What a route answers with: 200, or the status given, and this as JSON. */
export interface Answer {
  status?: number;
  body: object;
}

/** An answer that is no JSON; resolves when it has been sent. */
export interface SentAnswer {
  send: (res: Response) => Promise<void>;
}

type Handled = Answer | SentAnswer;
type Handle = (req: Request) => Handled | Promise<Handled>;
type Method = "get" | "post" | "put" | "patch" | "delete";

function answering(handle: Handle): RequestHandler {
  return async (req: Request, res: Response) => {
    const answer = await handle(req);
    if ("send" in answer) return await answer.send(res);
    res.status(answer.status ?? 200).json(answer.body);
  };
}

/** Adds a path with its methods; any other method is refused with METHOD_NOT_ALLOWED and the list of those that are there. */
export function mount(
  router: Router,
  path: string,
  methods: Partial<Record<Method, Handle>>,
): void {
  const route = router.route(path);
  const names = Object.keys(methods) as Method[];
  for (const name of names) {
    const handle = methods[name];
    if (handle !== undefined) route[name](answering(handle));
  }
  const allow = names.map((name) => name.toUpperCase()).join(", ");
  route.all((_req: Request, res: Response) => {
    res.setHeader("allow", allow);
    throw new SupervisorError("METHOD_NOT_ALLOWED", `only ${allow} can be used on this path`);
  });
}

/** One of the names in a route's path; express has matched it, so it is there. */
export function param(req: Request, name: string): string {
  const value = req.params[name];
  return typeof value === "string" ? value : "";
}

/** Writes carry JSON: a page of another site cannot send that type without asking first (CORS). */
export function wantJson(req: Request, _res: Response, next: NextFunction): void {
  const isWrite = ["POST", "PUT", "PATCH"].includes(req.method);
  if (isWrite && !isJson(req))
    throw new SupervisorError("TYPE_UNSUPPORTED", "the content type must be application/json");
  next();
}
