import { isIP } from "node:net";
import { z } from "zod";
import { hostIn, isForbidden } from "../platform/address.ts";
import { fieldName, isFieldValue } from "../platform/header-fields.ts";
import { templateProblem } from "./template.ts";
import type { Placeholder } from "./template.ts";

/** A string that `problemOf` finds nothing wrong with. What it returns is shown, so it must not repeat the value. */
function checkedString(problemOf: (value: string) => string | undefined) {
  return z.string().superRefine((value, context) => {
    const problem = problemOf(value);
    if (problem !== undefined) context.addIssue(problem);
  });
}

/** NUL ends a string for the kernel: what follows it would vanish from an argument, a path or the environment. */
const nulProblem = (value: string): string | undefined =>
  value.includes("\0") ? "must not hold a NUL character" : undefined;

/** A string in which these placeholders may stand and no other. */
export const template = (allowed: readonly Placeholder[]) =>
  checkedString((value) => nulProblem(value) ?? templateProblem(value, allowed));

/** A path or name of a file. Nothing is filled in: one for all users is what it says. */
export const filePath = checkedString((value) =>
  value === "" ? "must not be empty" : (nulProblem(value) ?? templateProblem(value, [])),
);

/** A path behind an origin. `//` and `\` could name another host there. */
export const routePath = checkedString((value) =>
  /^\/(?!\/)[\x21-\x7e]*$/.test(value) && !/[\\#]/.test(value)
    ? templateProblem(value, ["port", "user"])
    : 'must begin with one "/" and hold no space, backslash or "#"',
);

/** The beginning of a path that is compared as it stands. */
export const ownRoute = checkedString((value) =>
  /^\/(?:(?!\.{1,2}(?:\/|$))[\w.~-]+\/)*(?:(?!\.{1,2}$)[\w.~-]+)?$/.test(value)
    ? undefined
    : 'must be the beginning of a path, such as "/files", of letters, digits and . _ ~ - between its slashes',
);

/** `text` as an http URL without a user and password in it. */
function parseHttpUrl(text: string): URL | undefined {
  if (!/^https?:\/\/[\x21-\x7e]+$/i.test(text) || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  return url.username === "" && url.password === "" ? url : undefined;
}

export const remoteUrl = checkedString((value) => {
  const problem = templateProblem(value, ["user"]);
  if (problem !== undefined) return problem;
  const url = parseHttpUrl(value.replaceAll("${user}", "user"));
  if (url === undefined)
    return 'must be a URL such as "http://localhost:3001/sse", without a user or password in it';
  return isForbidden(hostIn(url)) ? "must not be a link-local or metadata address" : undefined;
});

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** What is wrong with a URL that secrets go to: never in clear over a network, and never to a metadata service. */
export function secureProblem(value: string): string | undefined {
  const url = parseHttpUrl(value);
  if (url === undefined || url.hash !== "")
    return 'must be a URL such as "https://sso.example.com/token", without a user, password or fragment';
  if (url.protocol === "http:" && !LOOPBACK.test(url.hostname))
    return "must begin with https://, or be on this machine: secrets go there";
  return isForbidden(hostIn(url))
    ? "must not be a link-local or metadata address"
    : templateProblem(value, []);
}

/** An endpoint of a provider. */
export const providerUrl = checkedString(secureProblem);

/** As `providerUrl`, of a service whose paths are known. */
export const serviceUrl = checkedString(
  (value) =>
    secureProblem(value) ??
    (/[?]/.test(value) || value.endsWith("/")
      ? "must not hold a query, nor end with a slash"
      : undefined),
);

/** Text of one line that stands in requests as it is. */
export const word = checkedString((value) =>
  /^[\x21-\x7e]+$/.test(value) ? undefined : "must be text of one line without spaces",
);

export const publicUrl = checkedString((value) => {
  const url = parseHttpUrl(value);
  return url !== undefined &&
    /^(?:\/[A-Za-z0-9._~-]+)*\/?$/.test(url.pathname) &&
    !/[?#]/.test(value)
    ? undefined
    : 'must be a URL such as "https://mcp.example.com/prefix", without user, query or fragment';
});

export const host = z
  .string()
  .regex(/^[A-Za-z0-9._:%-]+$/, "must be an IP address or a host name, without brackets or port");

export const hostName = z
  .string()
  .regex(
    /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d*)?$/,
    "must be a host name without a scheme or path",
  );

export const origin = z
  .string()
  .regex(
    /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^\s/?#@]+\/?$/,
    'must be an origin such as "https://app.example.com"',
  );

export const proxyAddress = checkedString((value) => {
  const [ip = "", bits, ...rest] = value.split("/");
  const family = isIP(ip);
  const isRange =
    bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
  return family !== 0 && isRange && rest.length === 0
    ? undefined
    : 'must be an IP address or a range such as "10.0.0.0/8"';
});

export const groupName = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/, "must be the name or number of a group");

export const environmentName = z
  .string()
  .regex(
    /^[A-Za-z_][A-Za-z0-9_]*$/,
    "must be the name of an environment variable: letters, digits and _, not a digit first",
  );

/** Names that frame a message or belong to the protocol: an admin's value there would break or forge it. */
const DENIED_HEADER =
  /^(?:host|content-length|transfer-encoding|connection|keep-alive|te|trailer|upgrade|proxy-.*|expect|mcp-session-id|mcp-protocol-version|mcp-method|mcp-name)$/i;

export const headerName = checkedString((name) => {
  if (fieldName(name) === undefined) return "must be the name of a header";
  return DENIED_HEADER.test(name) ? "is a header that the gateway sets itself" : undefined;
});

export const headerValue = checkedString((value) =>
  // A line break would begin a header of its own.
  isFieldValue(value)
    ? templateProblem(value, ["user", "token"])
    : "must not hold line breaks, control characters or characters beyond Latin-1",
);
