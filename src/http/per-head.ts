import type { RequestHead } from "./exchange.ts";

/**
 * The same function of a request's head, asked once for each head of a connection and not for each
 * request with it. For what the head alone decides, and never for what can change: users, keys, grants
 * and the clock are asked each time. What throws is not kept.
 */
export function perHead<T extends string | object | true>(
  find: (head: RequestHead) => T,
): (head: RequestHead) => T {
  const known = new WeakMap<object, T>();
  return (head) => {
    const { sameHead } = head;
    if (sameHead === undefined) return find(head);
    const before = known.get(sameHead);
    if (before !== undefined) return before;
    const found = find(head);
    known.set(sameHead, found);
    return found;
  };
}
