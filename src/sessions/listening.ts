import { SMALL_BODY_BYTES } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { locate, textAt, valueAt } from "../mcp/json-span.ts";
import type { Text } from "../mcp/long-text.ts";
import { notificationText } from "../mcp/messages.ts";
import { META } from "../mcp/modern.ts";

const ACKNOWLEDGED = '"notifications/subscriptions/acknowledged"';
/** Of one request that is not too long to be read again; what it names beyond that is not told to have changed. */
const MAX_URIS = 1_000;

/** What a `subscriptions/listen` has shown its client, through all generations of the server. */
export class Listening {
  readonly #request: ClientMessage;
  #isAcknowledged = false;
  /** A generation has ended that may have had something to say. */
  #hasMissed = false;

  constructor(request: ClientMessage) {
    this.#request = request;
  }

  missed(): void {
    this.#hasMissed = true;
  }

  /**
   * What the client is shown in the place of this notification. A second acknowledgement is news to
   * nobody; what may have changed while nobody told of it follows.
   */
  shown(raw: Text): readonly Text[] {
    const method = locate(raw, ["method"]);
    if (method === undefined || textAt(raw, method) !== ACKNOWLEDGED) return [raw];
    if (!this.#isAcknowledged) {
      this.#isAcknowledged = true;
      this.#hasMissed = false;
      return [raw];
    }
    const hasMissed = this.#hasMissed;
    this.#hasMissed = false;
    return hasMissed ? this.#resources().map((uri) => this.#updated(uri)) : [];
  }

  #updated(uri: string): Buffer {
    const id = textAt(this.#request.raw, this.#request.find(["id"])!);
    const meta = `{"${META.subscriptionId}":${id}}`;
    const params = `{"uri":${JSON.stringify(uri)},"_meta":${meta}}`;
    return Buffer.from(notificationText("notifications/resources/updated", params));
  }

  #resources(): string[] {
    const { raw } = this.#request;
    if (raw.length > SMALL_BODY_BYTES) return [];
    const span = locate(raw, ["params", "notifications", "resourceSubscriptions"]);
    const uris = span && valueAt(raw, span);
    if (!Array.isArray(uris)) return [];
    return uris.filter((uri) => typeof uri === "string").slice(0, MAX_URIS);
  }
}
