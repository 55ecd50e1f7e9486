let passed = 0;
let failed = 0;
let skipped = 0;

/** Prints `ok - sentence` if `holds` returns, `not ok - sentence` and the reason if it throws. */
export function check(sentence: string, holds: () => void): void {
  try {
    holds();
    passed += 1;
    console.log(`ok - ${sentence}`);
  } catch (error) {
    failed += 1;
    const reason = error instanceof Error ? error.message : String(error);
    console.log(`not ok - ${sentence}\n${reason.replaceAll(/^/gm, "    ")}`);
  }
}

/** Prints one line for what this machine is not able to do; no failure. */
export function skip(sentence: string): void {
  skipped += 1;
  console.log(`skipped - ${sentence}`);
}

/** Prints one line on stderr for what this machine lacks and has to have; a failure. */
export function miss(sentence: string): void {
  failed += 1;
  console.error(`mcp-supervisor: ${sentence}`);
}

/** Prints the last line and sets the exit code. */
export function finish(): void {
  const rest = skipped === 0 ? "" : `, ${skipped} skipped`;
  console.log(`${passed} passed, ${failed} failed${rest}`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}
