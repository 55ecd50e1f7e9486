import type { z } from "zod";
import { SupervisorError } from "../../errors.ts";
import type { BrowserCaller } from "../../auth/registry.ts";
import type { BodyRequest } from "../../platform/body-request.ts";
import { queryOf, valuesOf } from "../routes.ts";
import type { Trace } from "../trace.ts";

/** A request of a user's own page. Whose it is says the session alone. */
export interface MeRequest {
  readonly req: BodyRequest;
  readonly trace: Trace;
  readonly caller: BrowserCaller;
  readonly user: string;
  /** What stands behind the slash of the path; empty for nothing. */
  readonly named: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface MeAnswer<Body extends object = object> {
  readonly status?: number;
  readonly body?: Body;
  readonly headers?: Readonly<Record<string, string>>;
}

export type MeHandler<Body extends object = object> = (
  request: MeRequest,
) => MeAnswer<Body> | Promise<MeAnswer<Body>>;

/** By path (with `/*` where it names something), then by method. */
export type MeRoutes = Readonly<Record<string, Readonly<Record<string, MeHandler>>>>;

/** The body as the schema has it; REQUEST_INVALID for any other, by the name of the key. */
export function bodyAs<Schema extends z.ZodType>(
  schema: Schema,
  { body }: MeRequest,
): z.output<Schema> {
  const read = schema.safeParse(body);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new SupervisorError("REQUEST_INVALID", `the body: ${issue!.message}`);
}

/** A query parameter that names something by a slug; undefined where it is not there. */
export function nameIn({ req }: Pick<MeRequest, "req">, name: string): string | undefined {
  const [value, ...others] = valuesOf(queryOf(req.url ?? ""), name);
  if (others.length > 0) throw new SupervisorError("REQUEST_INVALID", `${name} may be given once`);
  return value;
}
