import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** Runs test files in a process of their own, with these variables. Rejects with what they print where one fails. */
export async function runTestFiles(
  files: readonly URL[],
  variables: Readonly<Record<string, string>>,
): Promise<void> {
  // The runner tells its children apart by a variable of its own.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const paths = files.map((file) => fileURLToPath(file));
  try {
    await promisify(execFile)(process.execPath, ["--test", ...paths], {
      env: { ...env, ...variables },
      maxBuffer: 64 * 1024 * 1024,
    });
  } catch (error) {
    const { stdout = "" } = error as { stdout?: string };
    throw new Error(`the files fail: ${stdout.slice(-4_000)}`, { cause: error });
  }
}
