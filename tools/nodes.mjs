// Runs the tests of what is borrowed from Node's inside, of the own reader beside Node's parser, of
// streams to clients, and of JWTs, which take its WebCrypto, on each release line that is supported. Each
// version comes from npm (the packages `node-PLATFORM-ARCH`), once; npm keeps it in its cache.
//   npm run test:nodes              the oldest that is supported, and the newest of each line
//   npm run test:nodes -- 22.14.0   these versions
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const VERSIONS = ["22.14.0", "24", "26"];
const FILES = [
  "test/platform/node-inside.test.ts",
  "test/platform/body-request.test.ts",
  "test/http/exchange.test.ts",
  "test/gateway/client-stream.test.ts",
  "test/requests/requests.test.ts",
  "test/auth/jwt.test.ts",
];
const FETCH_MS = 300_000;
const TEST_MS = 300_000;

/** What the program prints in one run of that version; an error says why there is none. */
function onNode(version, args, options) {
  const name = `node-${process.platform}-${process.arch}@${version}`;
  const npm = ["exec", "--yes", "--loglevel=error", `--package=${name}`, "--", "node", ...args];
  return spawnSync("npm", npm, { cwd: root, encoding: "utf8", ...options });
}

/** The exact version; undefined, after a line that says so, where it cannot be had. */
function fetched(version) {
  console.error(`Node ${version}: fetching …`);
  const { status, stdout, stderr, error } = onNode(version, ["--version"], { timeout: FETCH_MS });
  if (status === 0) return stdout.trim();
  const why = error?.message ?? stderr.replaceAll("npm error ", "").split("\n", 2).join(": ");
  console.error(`Node ${version}: cannot be fetched from npm for this machine (${why})`);
  return undefined;
}

function passes(version, exact) {
  console.error(`Node ${version}: ${exact}, ${FILES.length} files …`);
  // The processes that the tests start run from source, too.
  const NODE_OPTIONS = "--experimental-strip-types --no-warnings";
  const { status, signal, stdout, stderr } = onNode(version, ["--test", ...FILES], {
    env: { ...process.env, NODE_OPTIONS },
    timeout: TEST_MS,
  });
  if (status === 0) return true;
  console.error(stdout + stderr);
  if (signal !== null) console.error(`Node ${exact}: ended by ${signal}, after at most 300 s`);
  return false;
}

const asked = process.argv.slice(2);
const outcomes = (asked.length > 0 ? asked : VERSIONS).map((version) => {
  const exact = fetched(version);
  const outcome = exact === undefined ? "not run" : passes(version, exact) ? "passed" : "FAILED";
  console.log(`Node ${exact ?? version}: ${outcome}`);
  return outcome;
});
if (outcomes.some((outcome) => outcome !== "passed")) process.exitCode = 1;
