import { setImmediate as nextTurn } from "node:timers/promises";
import type { z } from "zod";
import { SupervisorError } from "../errors.ts";
import { OPEN_BRACE } from "../mcp/bytes.ts";
import { JsonWalk } from "../mcp/json-walk.ts";
import type { Place } from "../mcp/json-walk.ts";
import { toolCall } from "./tool-schemas.ts";
import type { pageCall } from "./tool-schemas.ts";
import type { WantedCall } from "../tools/tools.ts";

/** As much as is read in a millisecond or two. */
const SLICE_BYTES = 128 * 1024;
/** Of all that stands beside the arguments. */
const MAX_BESIDE_BYTES = 16 * 1024;
/** What a body asks for, and what it says of the session with a server that is part of the daemon. */
export interface ReadCall extends WantedCall {
  readonly settings?: { readonly app_id: string; readonly app_secret: string };
}

const NOTED = { args: {}, method: {}, server: {}, strict: {} };
const NO_ARGUMENTS = Buffer.from("{}");

const invalid = (message: string): SupervisorError =>
  new SupervisorError("REQUEST_INVALID", message);

/**
 * What the body of `POST /tools` asks for, whose arguments stay as they were written: neither are
 * large ones built, nor are numbers changed. Rejects with REQUEST_INVALID; what is said of a flaw
 * repeats nothing of it.
 */
export async function readToolBody(
  body: Buffer,
  schema: typeof toolCall | typeof pageCall = toolCall,
): Promise<ReadCall> {
  const walk = new JsonWalk(body, NOTED, 1);
  let end = walk.advance(SLICE_BYTES);
  while (end === undefined) {
    await nextTurn();
    end = walk.advance(SLICE_BYTES);
  }
  if (end !== "json") throw invalid("the body is not JSON");
  const [top] = walk.values;
  if (walk.isArray || top?.inside === undefined) throw invalid("the body must be a JSON object");
  if ((top.repeated?.size ?? 0) > 0) throw invalid("a key stands in the body twice");
  return wantedOf(body, top.inside.get("args"), schema);
}

function wantedOf(
  body: Buffer,
  args: Place | undefined,
  schema: typeof toolCall | typeof pageCall,
): ReadCall {
  const read = schema.safeParse(besideOf(body, args));
  if (!read.success) throw invalid(read.error.issues[0]!.message);
  const { method, server, strict = false, settings } = read.data as z.output<typeof pageCall>;
  return {
    method,
    args: args === undefined ? NO_ARGUMENTS : body.subarray(args.start, args.end),
    server: server ?? undefined,
    isStrict: strict,
    ...(settings === undefined ? {} : { settings }),
  };
}

/** The body, without what stands in the arguments. */
function besideOf(body: Buffer, args: Place | undefined): unknown {
  if (args === undefined) return parsed(body);
  const { start, end } = args;
  const inPlace = Buffer.from(body[start] === OPEN_BRACE ? "{}" : "0");
  return parsed(Buffer.concat([body.subarray(0, start), inPlace, body.subarray(end)]));
}

function parsed(beside: Buffer): unknown {
  if (beside.length > MAX_BESIDE_BYTES) throw invalid("too much stands beside args in the body");
  return JSON.parse(beside.toString("utf8"));
}
