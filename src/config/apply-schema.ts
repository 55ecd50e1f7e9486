import { z } from "zod";
import { SupervisorError, counted } from "../errors.ts";
import { SLUG, SLUG_RULE } from "../platform/slug.ts";
import { EMAIL_RULE, LABEL_RULE, isEmail, isLabel } from "../platform/texts.ts";
import { repeated } from "../platform/texts.ts";
import { describeIssue, formatProblem, toProblems } from "./problems.ts";
import type { Problem } from "./problems.ts";

const slug = z.string().regex(SLUG, SLUG_RULE);
/** What stands alone in YAML, as `groups:` does, is null. */
const slugs = z.array(slug).nullish();

const user = z.strictObject({
  name: slug,
  displayName: z.string().refine(isLabel, LABEL_RULE).nullish(),
  email: z.string().refine(isEmail, EMAIL_RULE).nullish(),
  disabled: z.boolean().optional(),
  groups: slugs,
  servers: slugs,
});

const group = z.strictObject({ name: slug, members: slugs, servers: slugs });

const applySchema = z.strictObject({
  users: z.array(user).nullish(),
  groups: z.array(group).nullish(),
});

/** A user as the file wants them; what it does not say stays as it is. */
export interface WantedUser {
  name: string;
  displayName?: string | null | undefined;
  email?: string | null | undefined;
  disabled?: boolean | undefined;
  groups: readonly string[];
  servers: readonly string[];
}

export interface WantedGroup {
  name: string;
  members: readonly string[];
  servers: readonly string[];
}

/** Users, groups and grants as somebody wants them. */
export interface Wanted {
  users: readonly WantedUser[];
  groups: readonly WantedGroup[];
}

/** A token of the file; `server` is null for the user's general one. */
export interface WantedToken {
  user: string;
  server: string | null;
  token: string;
}

/** A file of users, groups and grants that has been read. */
export interface ApplyFile {
  wanted: Wanted;
  /** Only CSV has them. */
  tokens: readonly WantedToken[];
  /** A sentence that begins with a place in the file, as `users[3].groups[0]: …`, with the line before it. */
  placed: (detail: string) => string;
}

/** The group whose grants everybody has. */
export const ALL = "all";

/** REQUEST_INVALID with all that is wrong as details; `file` is where it stands. */
export function applyRefused(problems: readonly string[], file?: string): SupervisorError {
  const count = counted(problems.length, "problem");
  const message = file === undefined ? count : `${file}: ${count}`;
  return new SupervisorError("REQUEST_INVALID", message, { details: problems });
}

/** What the value wants, or a sentence for each thing that is wrong with it: `users[3].groups: …`. */
export function checkWanted(value: unknown): { wanted: Wanted } | { problems: string[] } {
  const result = applySchema.safeParse(value, { error: describeIssue });
  if (!result.success) {
    const schema = z.toJSONSchema(applySchema, { io: "input" });
    return { problems: toProblems(result.error.issues, schema).map(said) };
  }
  const users = (result.data.users ?? []).map((one) => ({
    ...one,
    groups: one.groups ?? [],
    servers: one.servers ?? [],
  }));
  const groups = (result.data.groups ?? []).map(({ name, members, servers }) => ({
    name,
    members: members ?? [],
    servers: servers ?? [],
  }));
  const problems = [
    ...twice("users", users),
    ...twice("groups", groups),
    ...groups.flatMap(({ name, members }, at) =>
      name === ALL && members.length > 0
        ? [{ path: ["groups", at, "members"], message: "everybody is in the group all" }]
        : [],
    ),
    ...users.flatMap(({ groups: own }, at) =>
      own.includes(ALL)
        ? [{ path: ["users", at, "groups"], message: "everybody is in the group all" }]
        : [],
    ),
  ];
  return problems.length === 0 ? { wanted: { users, groups } } : { problems: problems.map(said) };
}

const said = (problem: Problem): string =>
  problem.path.length === 0 ? "must be an object with users and groups" : formatProblem(problem);

const twice = (kind: string, list: readonly { name: string }[]): Problem[] =>
  repeated(list.map(({ name }) => name)).map((at) => ({
    path: [kind, at, "name"],
    message: `${list[at]!.name} is there twice`,
  }));
