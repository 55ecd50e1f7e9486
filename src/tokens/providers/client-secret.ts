import { SupervisorError } from "../../errors.ts";
import { readSecretFile } from "../../platform/secret-file.ts";
import { Refused } from "./provider.ts";

/** Reads the client's secret, so that a new one needs no restart. Throws a Refused of the configuration. */
export function readClientSecret(file: string): string {
  try {
    return readSecretFile(file, "the client's secret");
  } catch (error) {
    if (error instanceof SupervisorError) throw new Refused("config", error.message);
    throw error;
  }
}
