import type { Result } from "./suite.ts";

const count = (results: readonly Result[], verdict: Result["verdict"]) =>
  results.filter((result) => result.verdict === verdict).length;

const passed = (results: readonly Result[]) => count(results, "pass");
const failed = (results: readonly Result[]) => count(results, "fail");

const numbers = (results: readonly Result[]): string => {
  const skipped = count(results, "skip");
  const line = `${passed(results)} passed, ${failed(results)} failed`;
  return skipped === 0 ? line : `${line}, ${skipped} skipped`;
};

/** As the official suite ends: a line for each scenario and one for all. */
export function summaryOf(results: readonly Result[]): string[] {
  const scenarios = [...new Set(results.map(({ scenario }) => scenario))];
  return [
    "=== SUMMARY ===",
    ...scenarios.map((scenario) => {
      const own = results.filter((result) => result.scenario === scenario);
      return `${failed(own) === 0 ? "✓" : "✗"} ${scenario}: ${numbers(own)}`;
    }),
    "",
    `Total: ${numbers(results)}`,
  ];
}

/** What did not pass, and why. */
export function troublesOf(results: readonly Result[]): string[] {
  return results
    .filter(({ verdict }) => verdict !== "pass")
    .map(({ verdict, id, section, says, reason = "" }) =>
      verdict === "skip"
        ? `- ${id} skipped: ${reason}`
        : `✗ ${id}: ${says} (${section})\n    ${reason}`,
    );
}

export const scoreOf = (results: readonly Result[]): string =>
  `${passed(results)}/${failed(results)}`;

/** 0 only if something was checked and nothing failed. */
export const exitCodeOf = (results: readonly Result[]): 0 | 1 =>
  failed(results) === 0 && passed(results) > 0 ? 0 : 1;

/**
 * How the results of a server behind a gateway are worse than its own: the gateway may pass what the
 * server fails, but never the other way round, and may not hide what the server offers.
 */
export function losses(
  direct: readonly Result[],
  through: readonly Result[],
  inherent: Inherent = {},
): string[] {
  const verdicts = new Map(through.map((result) => [result.id, result]));
  return direct.flatMap(({ id, verdict }) => {
    if (id in inherent) return [];
    const other = verdicts.get(id);
    if (verdict === other?.verdict || verdict === "fail") return [];
    return [
      `${id}: ${verdict} directly, ${other?.verdict ?? "not made"} behind the gateway: ${other?.reason ?? ""}`,
    ];
  });
}

/** Checks that cannot pass behind something, by id, and why. */
export type Inherent = Readonly<Record<string, string>>;

/** The results without the failures that have to be. A check that passes in spite of its reason is a failure: the reason is no longer true. */
export function besides(inherent: Inherent, results: readonly Result[]): Result[] {
  return results.flatMap((result): Result[] => {
    const why = inherent[result.id];
    if (why === undefined) return [result];
    if (result.verdict === "fail") return [];
    return [{ ...result, verdict: "fail", reason: `not "fail", although ${why}` }];
  });
}
