/** What the suite has done: counted while it runs, printed at its end. */

/** All are counts over the whole run. */
export const figures = {
  scenarios: 0,
  requests: 0,
  /** Misbehaviours that struck: of the API, the client, the machine. */
  faults: 0,
  kills: 0,
  restarts: 0,
  checkpoints: 0,
  served: 0,
  forwarded: 0,
  /** Requests without a right answer, checkpoints that were gone or went to the wrong history. */
  lost: 0,
};

/** Figures of single tests that are worth a line at the end: memory, times, what a limit allowed. */
const notes: string[] = [];

export function note(line: string): void {
  notes.push(line);
}

/** The closing report. */
export function report(seed: number, seconds: number): string {
  const { scenarios, requests, faults, kills, restarts, checkpoints, served, forwarded, lost } = figures;
  const lines = [
    `fault suite: ${scenarios} scenarios, ${requests} requests, ${faults} faults, ${kills} kills, ${restarts} restarts`,
    `             ${checkpoints} checkpoints, compactions ${served} served and ${forwarded} forwarded, lost: ${lost}`,
    ...notes.map((line) => `             ${line}`),
    `             ${seconds} s, seed ${seed}`,
  ];
  return lines.join('\n');
}
