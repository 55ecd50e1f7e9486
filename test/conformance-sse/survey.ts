import type { Params, Session } from "./session.ts";

export interface Tool {
  name: string;
  inputSchema?: { type?: string; properties?: Record<string, { type?: string }> };
}

/** What a server says that it has, asked once at the start of a run. */
export interface Survey {
  capabilities: Params;
  tools: readonly Tool[];
}

/** Asks as a client that can do everything, because some servers show certain tools to such clients only. */
export async function survey(session: Session): Promise<Survey> {
  const { capabilities } = (await session.shakeHands({
    version: "2025-06-18",
    capabilities: { sampling: {}, elicitation: {}, roots: { listChanged: true } },
    answers: { "roots/list": () => ({ roots: [] }) },
  })) as { capabilities: Params };
  if (!("tools" in capabilities)) return { capabilities, tools: [] };
  const { tools } = (await session.result("tools/list")) as { tools: Tool[] };
  return { capabilities, tools };
}
