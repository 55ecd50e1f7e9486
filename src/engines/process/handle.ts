/** What a stream or a listening server has in its heart. */
export interface Handle {
  readonly fd: number;
  readStop(): void;
  close(): void;
}

/** No public way leads to it. */
export const handleOf = (owner: object): Handle => (owner as Record<string, Handle>)["_handle"]!;
