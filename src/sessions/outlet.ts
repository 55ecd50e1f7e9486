/** The client's open event stream, as far as a session has to know it. */
export interface Outlet {
  /** Bytes that the client has not taken yet. */
  readonly unread: number;
  /** Takes a part of the server's stream; false asks for a pause. */
  part(bytes: Buffer, isLast: boolean): boolean;
  /** Puts an event of the gateway's own on the stream; ends the stream where an event was cut in the middle. */
  event(text: string): void;
  /** Calls back once, when there is room again after a pause was asked for. */
  onceDrained(resume: () => void): void;
  end(): void;
}
