/** Where a value stands in JSON text, in bytes: [start, end). */
export interface Span {
  readonly start: number;
  readonly end: number;
}
