import { SupervisorError } from "../errors.ts";

/** Names under which a child on this machine may speak of itself. */
const SELF = /^(?:localhost|127(?:\.\d+){3}|\[::1\]|0\.0\.0\.0|\[::\])$/;

/**
 * The URL that messages of one SSE session are posted to: the `endpoint` event of the child
 * (2024-11-05, HTTP with SSE) resolved against the URL of its stream.
 *
 * Servers send an absolute path, a path relative to the stream, a query alone, a scheme-relative or
 * a full URL; a full one may name localhost, 0.0.0.0 or 127.0.0.1 whatever the stream was opened
 * with. Any other origin is refused with UPSTREAM_INVALID: posting there would send a user's
 * messages to whoever the child named (SSRF).
 */
export function resolveEndpoint(data: string, stream: URL): URL {
  let url: URL;
  try {
    url = new URL(data, stream);
  } catch (cause) {
    throw new SupervisorError(
      "UPSTREAM_INVALID",
      "the server named an endpoint that is not a URL",
      { cause },
    );
  }
  const isAlias = SELF.test(stream.hostname) && SELF.test(url.hostname);
  const isSame =
    url.protocol === stream.protocol &&
    url.port === stream.port &&
    (isAlias || url.hostname === stream.hostname);
  if (!isSame || url.username !== "" || url.password !== "") {
    throw new SupervisorError(
      "UPSTREAM_INVALID",
      "the server named an endpoint on another origin, which is never called",
    );
  }
  url.hostname = stream.hostname;
  url.hash = "";
  return url;
}
