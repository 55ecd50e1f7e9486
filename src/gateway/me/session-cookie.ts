import { prefixOf } from "../routes.ts";

const NAME = "mcps_session";

/**
 * What a browser holds of its session, as strict as the public URL allows: over https with a name that
 * no other host and no plain connection can set (RFC 6265bis, 4.1.3). Where its path may be narrow, it is:
 * other ports of the host get the same cookies.
 */
export function sessionCookie(publicUrl: URL): {
  name: string;
  set: (value: string, maxAgeSeconds: number) => string;
} {
  const prefix = prefixOf(publicUrl);
  const isSecure = publicUrl.protocol === "https:";
  const isHosts = isSecure && prefix === "";
  const name = `${isSecure ? (isHosts ? "__Host-" : "__Secure-") : ""}${NAME}`;
  const path = isHosts ? "/" : `${prefix}/me/api`;
  const rest = `Path=${path}; HttpOnly; SameSite=Strict${isSecure ? "; Secure" : ""}`;
  return {
    name,
    set: (value, maxAgeSeconds) => `${name}=${value}; Max-Age=${maxAgeSeconds}; ${rest}`,
  };
}
