/** Takes the lock of a data folder, says so, and keeps it until it is killed. */
import { lockDataDir } from "../../../src/store/lock.ts";

lockDataDir(process.argv[2]!);
process.stdout.write("locked\n");
setInterval(() => {}, 60_000);
