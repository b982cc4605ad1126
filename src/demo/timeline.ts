/** How the demo's timeline looks. Pure: text in, text out; colours come from outside and may be none. */
import type { Phase } from '../../machines/phases.ts';
import type { Thresholds } from '../../machines/conversation-events.ts';
import { duration, percentFloor } from '../../web/format.ts';

/** The colours that the timeline uses, as picocolors has them. */
export type Colours = Readonly<
  Record<'bold' | 'dim' | 'green' | 'yellow' | 'cyan' | 'magenta' | 'red', (text: string) => string>
>;

/** Cells of the bar: all of it is the effective context window. */
export const BAR_WIDTH = 30;
const PHASE_WIDTH = 13;
const CLOCK_WIDTH = 7;
/** Where the bar begins: after time and phase … */
const BAR_COLUMN = CLOCK_WIDTH + 2 + PHASE_WIDTH + 1;
/** … and where the text does: after the bar and the per cent. */
const TEXT_COLUMN = BAR_COLUMN + BAR_WIDTH + 5 + 2;

const colourOf = (phase: Phase, colours: Colours): ((text: string) => string) => {
  switch (phase) {
    case 'IDLE':
      return colours.dim;
    case 'CHECKPOINTING':
      return colours.yellow;
    case 'WAL_ACTIVE':
      return colours.cyan;
    case 'SWAP_READY':
      return colours.green;
  }
};

/** `  3.2 s`, in a column of its own. */
export const clock = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`.padStart(CLOCK_WIDTH);

const cellOf = (share: number): number => Math.round(Math.min(1, Math.max(0, share)) * BAR_WIDTH);

/** How full the window is, with a mark at both thresholds: a mark that has been passed is drawn into the filled part. */
export function bar(share: number, thresholds: Thresholds): string {
  const filled = cellOf(share);
  const marks = new Map([thresholds.checkpoint, thresholds.swap].map((threshold) => [cellOf(threshold), threshold]));
  return Array.from({ length: BAR_WIDTH }, (_, cell) => {
    const threshold = marks.get(cell);
    if (threshold !== undefined) return share >= threshold ? '┃' : '│';
    return cell < filled ? '█' : '░';
  }).join('');
}

/** The line above the bars that says what the marks are. */
export function ruler(thresholds: Thresholds): string {
  const name = (share: number): string => `${Math.round(share * 100)} %`;
  const [first, second] = [cellOf(thresholds.checkpoint), cellOf(thresholds.swap)];
  const left = `checkpoint ${name(thresholds.checkpoint)} ┐`;
  const right = `┌ ${name(thresholds.swap)} swap`;
  const gap = ' '.repeat(Math.max(0, second - first - 1));
  const offset = BAR_COLUMN + first + 1 - left.length;
  return `${' '.repeat(Math.max(0, offset))}${left}${gap}${right}`;
}

/** Cuts a text to a width, with an ellipsis where something is missing. */
export function fit(text: string, width: number): string {
  const flat = text.replace(/\s+/g, ' ');
  return flat.length <= width ? flat : `${flat.slice(0, Math.max(0, width - 1))}…`;
}

/** One turn: when, in which phase, how full, what was said. */
export function turnLine(
  turn: {
    readonly at: number;
    readonly phase: Phase;
    readonly share: number;
    readonly text: string;
    /** Beside the text, such as how long a checkpoint has been running. */
    readonly aside?: string;
  },
  look: { readonly thresholds: Thresholds; readonly columns: number; readonly colours: Colours },
): string {
  const { colours } = look;
  const colour = colourOf(turn.phase, colours);
  const aside = turn.aside === undefined ? '' : `  ${turn.aside}`;
  const room = Math.max(16, look.columns - TEXT_COLUMN - aside.length);
  const full = percentFloor(turn.share).padStart(5);
  return [
    clock(turn.at),
    '  ',
    colour(turn.phase.padEnd(PHASE_WIDTH)),
    ' ',
    colour(bar(turn.share, look.thresholds)),
    `${full}  `,
    aside === '' ? fit(turn.text, room) : fit(turn.text, room).padEnd(room),
    colours.dim(aside),
  ].join('');
}

/** Something that happened between turns. */
export function eventLine(at: number, mark: string, text: string): string {
  return `${clock(at)}  ${mark} ${text}`;
}

/** Two durations side by side, drawn to scale. */
export function comparison(rows: readonly { readonly name: string; readonly ms: number }[]): string[] {
  const longest = Math.max(1, ...rows.map(({ ms }) => ms));
  const widest = Math.max(0, ...rows.map(({ name }) => name.length));
  return rows.map(({ name, ms }) => {
    const cells = Math.round((ms / longest) * BAR_WIDTH);
    return `${name.padEnd(widest)}  ${duration(ms).padStart(8)}  ${cells === 0 ? '▏' : '█'.repeat(cells)}`;
  });
}
