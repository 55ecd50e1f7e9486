/** All that comes, as text. Rejects with what `tooLong` makes as soon as that is more than so many bytes. */
export async function textWithin(
  chunks: AsyncIterable<Buffer>,
  maxBytes: number,
  tooLong: () => Error,
): Promise<string> {
  const all: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > maxBytes) throw tooLong();
    all.push(chunk);
  }
  return Buffer.concat(all).toString("utf8");
}
