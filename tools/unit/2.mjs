// A third of the unit tests as one test file.
import { runShare } from "./share.mjs";

await runShare(1);
