import type { CallResult } from "./tools.ts";
import type { ToolList } from "./tool-list.ts";

const RESULT = Buffer.from('{"result":');

/** The answer to a call as JSON text, in pieces, since it may be large. */
export const callAnswer = ({ result, server }: CallResult): readonly Buffer[] => [
  RESULT,
  ...result,
  Buffer.from(`,"server":${JSON.stringify(server)}}`),
];

/** A list of tools as JSON text. */
export const listAnswer = ({ tools, errors }: ToolList): string =>
  `{"tools":[${tools.join(",")}],"errors":${JSON.stringify(errors)}}`;
