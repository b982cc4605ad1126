/** What a check of the doctor comes to. */

export interface CheckResult {
  /** Stable, for programs: `proxy`, `ca-trust`, … */
  readonly check: string;
  /** `fault`: it does not work so. `warning`: it works, but not as it could. */
  readonly verdict: 'well' | 'warning' | 'fault';
  /** One line: what was found. */
  readonly message: string;
  /** What to do about it; null where nothing is to be done. */
  readonly remedy: string | null;
}

export const well = (check: string, message: string): CheckResult => ({
  check,
  verdict: 'well',
  message,
  remedy: null,
});

export const warning = (check: string, message: string, remedy: string): CheckResult => ({
  check,
  verdict: 'warning',
  message,
  remedy,
});

export const fault = (check: string, message: string, remedy: string): CheckResult => ({
  check,
  verdict: 'fault',
  message,
  remedy,
});
