import { Conversation } from "../helpers/conversation.ts";
import type { SomeClient } from "./sdk-clients.ts";

/** A client on bare HTTP over /mcp, which listens again where its stream was lost. */
export function rawClient(): SomeClient {
  let session: Conversation | undefined;
  let id = 0;
  const ask = async (method: string, params: object): Promise<Record<string, unknown>> => {
    if (!session!.isListening) await session!.listen();
    const { result, error, status } = await session!.ask((id += 1), method, params);
    if (result === undefined) throw new Error(`${status} ${error?.message}`);
    return result;
  };
  return {
    name: "raw by /mcp",
    front: "mcp",
    open: async ({ url, headers }) => {
      const { origin, pathname } = new URL(url("mcp"));
      const [, , user = "", server = ""] = pathname.split("/");
      const secret = headers["authorization"]!.replace("Bearer ", "");
      session = await Conversation.open({ origin, user, server, secret, front: "mcp" });
    },
    call: async (name, args) => {
      const { content } = await ask("tools/call", { name, arguments: args });
      return (content as { text: string }[])[0]!.text;
    },
    read: async (uri) => {
      const { contents } = await ask("resources/read", { uri });
      return (contents as { text: string }[])[0]!.text;
    },
    close: async () => session?.close(),
  };
}
