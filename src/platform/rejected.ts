/** What an `async` function returns that throws this, for one that spares itself the promise of its own. */
// eslint-disable-next-line require-await -- see above
export async function rejected(thrown: unknown): Promise<never> {
  throw thrown;
}
