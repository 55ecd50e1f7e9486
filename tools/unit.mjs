// All unit tests as one test file: where each has a process of its own, most of the time goes to its start.
import { refuseProcesses } from "./no-processes.mjs";
import { findTests } from "./suite.mjs";

refuseProcesses();
for (const file of findTests().unit) await import(new URL(`../${file}`, import.meta.url).href);
