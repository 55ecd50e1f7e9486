/** Deletes the folder that it is told. */
import { removeFolder } from "../../../../src/engines/process/folders.ts";

await removeFolder(process.argv[2]!);
