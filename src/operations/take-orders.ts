import { oneByOne } from "./one-by-one.ts";
import { createReload } from "./reload.ts";
import type { ReloadParts, Reloaded } from "./reload.ts";
import { ServerOrders } from "./server-orders.ts";
import type { ServerOrderParts } from "./server-orders.ts";

/** What changes which servers there are; one change at a time, whoever orders it. */
export interface Orders {
  reload: () => Promise<Reloaded>;
  servers: ServerOrders;
}

/** Finishes removals of servers that a killed daemon left; then orders are taken. */
export async function takeOrders(parts: ReloadParts & ServerOrderParts): Promise<Orders> {
  const inOrder = oneByOne();
  const servers = new ServerOrders(parts, inOrder);
  await servers.finishRemovals();
  return { reload: createReload(parts, inOrder), servers };
}
