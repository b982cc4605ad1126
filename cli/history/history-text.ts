/** The compaction log as text for a terminal: totals, then one line per compaction. Pure. */
import type pc from 'picocolors';
import type { HistoryAnswer } from '../../src/admin/history-routes.ts';
import type { CompactionEntry } from '../../src/store/history.ts';
import type { TokenCounts } from '../../web/contract.ts';
import { duration, short } from '../../web/format.ts';
import { forwardReasonText } from '../../web/forward-reasons.ts';

type Colours = ReturnType<typeof pc.createColors>;

interface Column {
  readonly title: string;
  readonly right: boolean;
  /** Left out where the terminal is too narrow. */
  readonly cost: boolean;
  readonly value: (entry: CompactionEntry) => string;
}

const NONE = '–';

const left = (title: string, value: Column['value']): Column => ({ title, right: false, cost: false, value });
const right = (title: string, value: Column['value']): Column => ({ title, right: true, cost: false, value });
const cost = (title: string, kind: keyof TokenCounts): Column => ({
  title,
  right: true,
  cost: true,
  value: ({ checkpoint }) => (checkpoint === null ? NONE : short(checkpoint.tokens[kind])),
});

const COLUMNS: readonly Column[] = [
  left('when', ({ at }) => whenText(at)),
  left('conversation', ({ conversation }) => conversation.slice(0, 12)),
  right('before', ({ tokensBefore }) => short(tokensBefore)),
  right('after', ({ tokensAfter }) => (tokensAfter === null ? NONE : short(tokensAfter))),
  right('time saved', ({ outcome, savedMs }) => (outcome === 'served' ? duration(savedMs) : NONE)),
  cost('input', 'input'),
  cost('cached', 'cacheRead'),
  cost('to cache', 'cacheCreation'),
  cost('output', 'output'),
  left('served by', outcomeText),
];

/** In local time. */
function whenText(at: number): string {
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

function outcomeText({ outcome, reason, confirmed }: CompactionEntry): string {
  if (outcome === 'served') return confirmed === false ? 'the proxy, but not used' : 'the proxy';
  return `the API: ${forwardReasonText(reason ?? 'unknown')}`;
}

/** @param columns width of the terminal */
export function historyText({ complete, totals, compactions }: HistoryAnswer, columns: number, c: Colours): string {
  const { served, forwarded, savedMs, checkpoints: made, tokens } = totals;
  const whole = complete
    ? ''
    : `  ${c.yellow('the state file cannot be read: there may be more than is shown here')}\n`;
  if (served + forwarded + made.made === 0) return `${whole}No compactions in the last 90 days.\n`;
  const rows: readonly (readonly [string, string])[] = [
    ['compactions', `${served + forwarded}: ${served} served instantly, ${forwarded} by the API`],
    ['time saved', duration(savedMs)],
    ['checkpoints', `${made.made}: ${made.used} used, ${made.ready} ready, ${made.wasted} never used`],
    [
      'their tokens',
      `${short(tokens.cacheRead)} cached, ${short(tokens.cacheCreation)} to cache, ` +
        `${short(tokens.input)} input, ${short(tokens.output)} output`,
    ],
  ];
  const head = `${c.green('◈')} The last 90 days\n`;
  const sums = rows.map(([name, value]) => `  ${c.dim(name.padEnd(14))}${value}\n`).join('');
  return `${head}${whole}${sums}${compactions.length === 0 ? '' : `\n${tableOf(compactions, columns, c)}`}${moreText(served + forwarded - compactions.length, c)}`;
}

const moreText = (more: number, c: Colours): string =>
  more > 0 ? `  ${c.dim(`and ${more} older; -n shows more`)}\n` : '';

function tableOf(entries: readonly CompactionEntry[], width: number, c: Colours): string {
  const wide = linesOf(entries, COLUMNS);
  const fits = wide.every((line) => line.length <= width);
  const [titles = '', ...lines] = fits
    ? wide
    : linesOf(
        entries,
        COLUMNS.filter((column) => !column.cost),
      );
  return [c.dim(titles), ...lines].map((line) => `${line}\n`).join('');
}

/** Titles first. */
function linesOf(entries: readonly CompactionEntry[], columns: readonly Column[]): readonly string[] {
  const cells = [
    columns.map(({ title }) => title),
    ...entries.map((entry) => columns.map(({ value }) => value(entry))),
  ];
  const widths = columns.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  return cells.map((row) =>
    `  ${row.map((cell, at) => (columns[at]?.right === true ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0))).join('  ')}`.trimEnd(),
  );
}
