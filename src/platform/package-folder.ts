import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

function holding(name: string, below: string): string {
  return existsSync(join(below, name)) ? below : holding(name, dirname(below));
}

/** The folder of this package. What is built lies less deep in it than what it is built from. */
export const PACKAGE_FOLDER = holding("package.json", import.meta.dirname);
