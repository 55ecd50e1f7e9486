import { contained } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import { idAt } from "../mcp/envelope.ts";
import { withOwnHeaders } from "../mcp/headers.ts";
import { locate } from "../mcp/json-span.ts";
import type { Text } from "../mcp/long-text.ts";
import { requestText } from "../mcp/messages.ts";
import { readAnswer } from "./answer-body.ts";
import type { AnswerBody } from "./answer-body.ts";
import { assembleFor } from "./assemble.ts";
import { pathOf } from "./http1/client.ts";
import type { HttpClient } from "./http1/client.ts";
import type { HttpTarget } from "./target.ts";

const OWN_HEADERS = [
  "accept",
  "application/json, text/event-stream",
  "content-type",
  "application/json",
];
/** One in each exchange. */
const ID = "1";

export interface HttpQuestion {
  readonly method: string;
  /** JSON text of an object. */
  readonly params: string;
  /** Further headers, names and values in turn. */
  readonly headers: readonly string[];
}

/**
 * Asks a Streamable HTTP server something of the gateway's own, in no session. Resolves with the whole
 * answer, an error too; rejects with UPSTREAM_* where there is none.
 */
export function askHttp(
  client: HttpClient,
  target: HttpTarget,
  { method, params, headers }: HttpQuestion,
): Promise<Text> {
  return new Promise((resolve, reject) => {
    const messages = assembleFor({
      message: (raw) => {
        if (locate(raw, ["method"]) !== undefined || idAt(raw, ["id"]) !== ID) return;
        resolve(raw);
        // Some servers leave the stream of an answer open.
        if (answer?.isStream === true) exchange.abort();
      },
      dropped: (_, error) => reject(error),
      refuse() {},
    });
    let answer: AnswerBody | undefined;
    const request = {
      method: "POST",
      path: pathOf(target.url),
      headers: withOwnHeaders([...OWN_HEADERS, ...headers], target.headers),
      body: Buffer.from(requestText(ID, method, params)),
    } as const;
    const exchange = client.request(request, {
      head: (status, received) => {
        if (status < 200 || status >= 300) {
          exchange.abort();
          const what = `the server answered the message with ${status}`;
          return reject(new SupervisorError("UPSTREAM_INVALID", what));
        }
        answer = readAnswer(received, messages);
      },
      data: (chunk) => answer?.push(chunk),
      end: () => {
        answer?.end();
        const what = "the server ended its answer before it had answered";
        reject(new SupervisorError("UPSTREAM_INVALID", what));
      },
      fail: (error) => {
        messages.reset();
        reject(error);
      },
      broke: (thrown) => reject(contained("session", thrown)),
    });
  });
}
