import type { PodRow } from "../../src/store/store.ts";

/** The row of alice's pod of gmail, which has been written and not made yet. */
export const podRow = (more: Partial<PodRow> = {}): PodRow => ({
  name: "mcps-0a1b-g1",
  user: "alice",
  server: "gmail",
  variant: "",
  generation: 1,
  uid: null,
  address: null,
  node: null,
  epoch: 5,
  recipe: "r",
  token: null,
  authority: 1,
  orphanTimeoutMs: 60_000,
  bornAt: 10,
  ...more,
});
