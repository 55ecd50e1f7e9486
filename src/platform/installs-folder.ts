import path from "node:path";

/** Where the trees of installed packages lie: to be read by every child, to be written by none. */
export const installsFolder = (dataDir: string): string => path.join(dataDir, "servers");
