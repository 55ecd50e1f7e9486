import type { PodServer } from "../../config/child-servers.ts";

/** What stands around pods, if no class of runtimes is named. */
export const POD = "pod";

/** What stands around the pods of a server: `pod`, or `pod:CLASS`. */
export const podLevel = ({ pod: { runtimeClass } }: Pick<PodServer, "pod">): string =>
  runtimeClass === null ? POD : `${POD}:${runtimeClass}`;

export const isPodLevel = (level: string | null): boolean =>
  level === POD || level?.startsWith(`${POD}:`) === true;
