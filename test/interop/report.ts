let passed = 0;
let failed = 0;

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

/** Prints the last line and sets the exit code. */
export function finish(): void {
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}
