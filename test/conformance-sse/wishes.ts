import { Skip, type Visit } from "./check.ts";
import type { Params, Session } from "./session.ts";
import type { Tool } from "./survey.ts";

type Candidates = Record<string, Params>;

/**
 * Tools that make a server do what a check looks at, best first, with the arguments that make them do
 * it. The names are those of the official suite; where it has none, those of this project's fixture;
 * then those of server-everything and of the servers in test/interop.
 */
const WISHES = {
  error: { test_error_handling: {} },
  progress: {
    test_tool_with_progress: {},
    "trigger-long-running-operation": { duration: 0.2, steps: 4 },
    count: { to: 3 },
  },
  log: { test_tool_with_logging: {} },
  sampling: {
    test_sampling: { prompt: "Say so." },
    "trigger-sampling-request": { prompt: "Say so.", maxTokens: 10 },
  },
  elicitation: {
    test_elicitation: { message: "Who are you?" },
    "trigger-elicitation-request": {},
  },
  roots: { test_input_required_result_list_roots: {} },
  "tools/list_changed": { test_trigger_tool_change: {} },
  "prompts/list_changed": { test_trigger_prompt_change: {} },
  "resources/updated": { test_update_resource: {} },
  "a ping": { test_ping_client: {} },
} satisfies Record<string, Candidates>;

export interface Call {
  name: string;
  arguments: Params;
}

export type IsolationOptions = keyof typeof WISHES;

/** The call that shows what is wished for; skips the check when the server has no tool of a known name. */
export function callFor(visit: Visit, wish: IsolationOptions): Call {
  const candidates: Candidates = WISHES[wish];
  const found = visit.survey.tools.find(({ name }) => Object.hasOwn(candidates, name));
  if (!found) throw new Skip(`no tool for ${wish} (${Object.keys(candidates).join(", ")})`);
  return { name: found.name, arguments: candidates[found.name]! };
}

/** A call that lasts `ms`. */
export function slowCall(visit: Visit, ms: number): Call {
  const has = (tool: string) => visit.survey.tools.some(({ name }) => name === tool);
  if (has("test_slow")) return { name: "test_slow", arguments: { ms } };
  if (has("trigger-long-running-operation"))
    return {
      name: "trigger-long-running-operation",
      arguments: { duration: ms / 1000, steps: 2 },
    };
  if (has("sleep")) return { name: "sleep", arguments: { ms } };
  throw new Skip("no tool that takes its time (test_slow, trigger-long-running-operation, sleep)");
}

/** A call that is answered with a text, whichever. */
export function plainCall(visit: Visit): Call {
  const hasOne = visit.survey.tools.some(({ name }) => name === "test_simple_text");
  return hasOne ? { name: "test_simple_text", arguments: {} } : echoCall(visit, "hello");
}

const isText = ({ type }: { type?: string }) => type === undefined || type === "string";

/** A call that is answered with the text it carries, whatever the tool calls its argument. */
export function echoCall(visit: Visit, text: string): Call {
  const names = ["test_echo", "echo"];
  const tool = visit.survey.tools.find(({ name }) => names.includes(name));
  if (!tool) throw new Skip(`no tool that gives back what it is given (${names.join(", ")})`);
  return { name: tool.name, arguments: { [argumentOf(tool)]: text } };
}

function argumentOf({ inputSchema }: Tool): string {
  const properties = Object.entries(inputSchema?.properties ?? {});
  return properties.find(([, property]) => isText(property))?.[0] ?? "text";
}

/** The texts of a tool's result, joined. */
export function textOf(result: Params | undefined): string {
  const content = (result?.["content"] ?? []) as { type: string; text?: string }[];
  return content.map(({ text }) => text ?? "").join("\n");
}

/** Calls a tool and resolves with its result. */
export async function call(
  session: Session,
  { name, arguments: args }: Call,
  meta?: Params,
): Promise<Params> {
  return await session.result("tools/call", {
    name,
    arguments: args,
    ...(meta && { _meta: meta }),
  });
}
