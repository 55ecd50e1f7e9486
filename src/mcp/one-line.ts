import { CR, LF, SPACE } from "./bytes.ts";

/** The same JSON text without line breaks: they stand between its tokens only, so a space means the same. */
export function oneLine(json: Buffer): Buffer {
  if (!json.includes(LF) && !json.includes(CR)) return json;
  const line = Buffer.from(json);
  // A callback a byte would hold up everybody over a message of megabytes.
  for (let i = 0; i < line.length; i++) if (line[i] === LF || line[i] === CR) line[i] = SPACE;
  return line;
}
