/** Deletes the folder that it is told. */
import { removeFolder } from "../../../src/runners/folders.ts";

await removeFolder(process.argv[2]!);
