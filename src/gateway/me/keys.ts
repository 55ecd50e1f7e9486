import { z } from "zod";
import type { Audit } from "../../audit/audit.ts";
import type { Registry } from "../../auth/registry.ts";
import { SupervisorError } from "../../errors.ts";
import { noteIn } from "./note.ts";
import { bodyAs } from "./request.ts";
import type { MeHandler, MeRequest, MeRoutes } from "./request.ts";
import type { OwnKeys } from "./types.ts";

/** A page that a stranger has got hold of is not to fill the table. */
const MAX_KEYS = 100;
const CONTROL = /\p{Cc}/u;

const aboutKey = z.strictObject(
  {
    label: z
      .string("label must be a text or null")
      .max(100, "label must be one line of at most 100 characters, or null")
      .refine(
        (text) => !CONTROL.test(text),
        "label must be one line of at most 100 characters, or null",
      )
      .nullable()
      .optional(),
    expiresAt: z
      .int("expiresAt must be epoch ms or null")
      .positive("expiresAt must be epoch ms or null")
      .nullable()
      .optional(),
  },
  {
    error: ({ code }) =>
      code === "unrecognized_keys"
        ? "it may hold label and expiresAt, and no other key"
        : undefined,
  },
);

export interface KeyParts {
  registry: Pick<Registry, "listKeys" | "issueKey" | "changeKey" | "revokeKey">;
  audit: Pick<Audit, "add">;
}

function aboutIn(request: MeRequest): z.output<typeof aboutKey> {
  const about = bodyAs(aboutKey, request);
  const { expiresAt } = about;
  if (expiresAt !== undefined && expiresAt !== null && expiresAt <= Date.now())
    throw new SupervisorError("REQUEST_INVALID", "expiresAt is in the past");
  return about;
}

/**
 * The end of a key that this page may give: no later than that of the key by which the user has signed
 * in, or a key that an admin bounded would make others without a bound.
 */
function endWithin({ caller }: MeRequest, wished: number | null | undefined): number | null {
  const latest = caller.principal.expiresAt;
  if (latest === null) return wished ?? null;
  if (wished === undefined) return latest;
  if (wished !== null && wished <= latest) return wished;
  throw new SupervisorError(
    "REQUEST_INVALID",
    `expiresAt may be ${new Date(latest).toISOString()} at the latest, when the key ends that you have signed in with`,
  );
}

/** The user's own access keys. */
export function keyRoutes({ registry, audit }: KeyParts): MeRoutes {
  const note = noteIn(audit);
  const own = ({ user, named }: MeRequest) => {
    const key = registry.listKeys(user).find(({ id }) => id === named);
    // One answer for a key of somebody else's and for none.
    if (key === undefined) throw new SupervisorError("KEY_NOT_FOUND", "no such access key");
    return key;
  };
  const list: MeHandler<OwnKeys> = ({ user, caller }) => ({
    body: { keys: registry.listKeys(user), current: caller.principal.credentialId },
  });
  const issue: MeHandler = (request) => {
    const { label = null, expiresAt: wished } = aboutIn(request);
    const expiresAt = endWithin(request, wished);
    if (registry.listKeys(request.user).length >= MAX_KEYS)
      throw new SupervisorError(
        "REQUEST_INVALID",
        `there are ${MAX_KEYS} access keys, which is the limit: revoke one first`,
      );
    const key = registry.issueKey(request.user, { label, expiresAt });
    note(request, "key issue");
    return { status: 201, body: key };
  };
  const change: MeHandler = (request) => {
    const { user } = request;
    const { id, ...key } = own(request);
    const about = aboutIn(request);
    if (about.expiresAt !== undefined) endWithin(request, about.expiresAt);
    const changed = registry.changeKey(user, id, { ...key, ...about });
    note(request, `key change ${id}`);
    return { body: changed };
  };
  const revoke: MeHandler = (request) => {
    const { id } = own(request);
    registry.revokeKey(id);
    note(request, `key revoke ${id}`);
    return { body: { id } };
  };
  return { keys: { GET: list, POST: issue }, "keys/*": { PATCH: change, DELETE: revoke } };
}
