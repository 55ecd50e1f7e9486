import { probe } from "./probe.ts";
import type { Wanted } from "./probe.ts";

// Started by `probeAs` under the account that it is about.
process.stdout.write(JSON.stringify(await probe(JSON.parse(process.argv[2]!) as Wanted)));
