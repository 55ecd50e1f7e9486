import type { Router } from "express";
import { inviteUrl, personalUrls } from "../web/urls.ts";
import { mount, param } from "./answers.ts";
import { readBody } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import { requireUser } from "./subjects.ts";
import type { Invite, InvitedUser, RevokedInvite } from "./types.ts";

/** A new invite, in place of the one that the user had. */
export function inviteOf(
  { registry, publicUrl }: Pick<ControlParts, "registry" | "publicUrl">,
  user: string,
): Invite {
  const { code, expiresAt } = registry.invites.create(user);
  return { url: inviteUrl(publicUrl, code), expiresAt };
}

export function addInviteRoutes(router: Router, parts: ControlParts): void {
  const { registry, publicUrl } = parts;
  mount(router, "/users/:user/invite", {
    post: (req): { status: number; body: InvitedUser } => {
      const { name: user } = requireUser(registry, param(req, "user"));
      readBody(req, []);
      const invite = inviteOf(parts, user);
      return { status: 201, body: { user, invite, urls: personalUrls(publicUrl, parts, user) } };
    },
    delete: (req): { body: RevokedInvite } => {
      const { name: user } = requireUser(registry, param(req, "user"));
      return { body: { user, revoked: registry.invites.revoke(user) } };
    },
  });
}
