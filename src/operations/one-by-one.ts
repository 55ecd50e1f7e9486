/** Does work when all that was given before is done, however that ended. */
export type InOrder = <T>(work: () => Promise<T>) => Promise<T>;

/** For work that must not run beside other work of its kind. */
export function oneByOne(): InOrder {
  let last: Promise<unknown> = Promise.resolve();
  return async (work) => {
    const doing = last.then(work);
    last = doing.catch(() => {});
    return await doing;
  };
}
