/** What one check found. A warning is for the admin to weigh; a failure keeps something from working, or open. */
export interface Finding {
  check: string;
  outcome: "ok" | "warning" | "failed";
  found: string;
  /** What to do about it. */
  next: string | null;
}

export const ok = (check: string, found: string): Finding => ({
  check,
  outcome: "ok",
  found,
  next: null,
});

export const warn = (check: string, found: string, next: string): Finding => ({
  check,
  outcome: "warning",
  found,
  next,
});

export const fail = (check: string, found: string, next: string): Finding => ({
  check,
  outcome: "failed",
  found,
  next,
});

/** As `ls` and `chmod` have it: `0640`. */
export const modeText = (mode: number): string => (mode & 0o777).toString(8).padStart(4, "0");
