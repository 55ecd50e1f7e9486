// Loaded into a daemon with --import: on SIGUSR2 its clock is 100 s further on, as a wait would have it.
import { makeTimeSkippable } from "./skippable-time.ts";

const SKIP_MS = 100_000;

const { skip } = makeTimeSkippable();
process.on("SIGUSR2", () => skip(SKIP_MS));
