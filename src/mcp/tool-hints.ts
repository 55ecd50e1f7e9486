interface NamedTool {
  readonly name: string;
}

/** Whether this is a tool of which its definition says that it may be called again without harm (MCP, tool annotations). */
export function isSafeTool(tool: unknown): tool is NamedTool {
  const { name, annotations } = (tool ?? {}) as { name?: unknown; annotations?: unknown };
  const { readOnlyHint, idempotentHint } = (annotations ?? {}) as Record<string, unknown>;
  return typeof name === "string" && (readOnlyHint === true || idempotentHint === true);
}
