// Loaded into a daemon with --import: on SIGUSR2 its monotonic clock is 100 s further on, as a wait would have it.
const SKIP_MS = 100_000;

const now = performance.now.bind(performance);
let ahead = 0;
performance.now = () => now() + ahead;
process.on("SIGUSR2", () => (ahead += SKIP_MS));
