import { confinementFindings } from "../engines/process/findings.ts";
import type { Gap } from "./types.ts";

/** See `confinementFindings`; as they are shown. */
export function gapsOf(...machineAndServers: Parameters<typeof confinementFindings>): Gap[] {
  const findings = confinementFindings(...machineAndServers);
  return findings.map(({ problem, remedy }) => ({ found: problem, next: remedy }));
}
