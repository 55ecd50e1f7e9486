import type { Request } from "express";
import { SupervisorError } from "../errors.ts";
import { EMAIL_RULE, LABEL_RULE, isEmail, isLabel } from "../platform/texts.ts";

const invalid = (message: string): SupervisorError =>
  new SupervisorError("REQUEST_INVALID", message);

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The body as an object, whatever its keys; empty where there is none. */
export function readAnyBody(req: Request): Record<string, unknown> {
  const body: unknown = req.body ?? {};
  if (isObject(body)) return body;
  throw invalid("the body must be a JSON object");
}

/** The body as an object with no keys but these, so that a mistyped one is an error and not a silent nothing. */
export function readBody(req: Request, keys: readonly string[]): Record<string, unknown> {
  const body = readAnyBody(req);
  if (Object.keys(body).some((key) => !keys.includes(key)))
    throw invalid(`the body may hold ${keys.join(", ") || "nothing"}, and no other key`);
  return body;
}

export function readUserName(value: unknown): string {
  if (typeof value !== "string") throw invalid("user must be a string");
  return value;
}

/** A string; what else a token must be is for the tokens room to say. */
export function readToken(value: unknown, name: string): string {
  if (typeof value !== "string") throw invalid(`${name} must be a string`);
  return value;
}

/** An instant in epoch ms, or null for never. */
export function readInstant(value: unknown, name: string): number | null {
  if (value === undefined || value === null) return null;
  if (!Number.isSafeInteger(value) || (value as number) <= 0)
    throw invalid(`${name} must be epoch ms or null`);
  return value as number;
}

/** A short text of people's, or null for none. */
export function readLabel(value: unknown, name = "label"): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === "string" && isLabel(value)) return value;
  throw invalid(`${name} ${LABEL_RULE}`);
}

export function readEmail(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === "string" && isEmail(value)) return value;
  throw invalid(`email ${EMAIL_RULE}`);
}

/** True or false; false where it is not given. */
export function readBoolean(value: unknown, name: string): boolean {
  if (value === undefined) return false;
  if (typeof value === "boolean") return value;
  throw invalid(`${name} must be true or false`);
}

/** A query parameter that is true or false; false where it is not given. */
export function readFlag(req: Request, name: string): boolean {
  const value = readQuery(req, name) ?? "false";
  if (value === "true" || value === "false") return value === "true";
  throw invalid(`${name} must be true or false`);
}

/** A query parameter that may be given once. */
export function readQuery(req: Request, name: string): string | undefined {
  const value = req.query[name];
  if (value === undefined || typeof value === "string") return value;
  throw invalid(`${name} may be given once`);
}

/** A query parameter that is a whole number, `most` at most. */
export function readCount(
  req: Request,
  name: string,
  most = Number.MAX_SAFE_INTEGER,
): number | undefined {
  const text = readQuery(req, name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d{1,15}$/.test(text) && value <= most) return value;
  throw invalid(`${name} must be a whole number, at most ${most}`);
}
