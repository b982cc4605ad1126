/** Numbers, durations and times as text, for the dashboard, the commands and the demo. Pure. */

const COUNT = new Intl.NumberFormat('en-US');

/** `144,000`. */
export const count = (value: number): string => COUNT.format(Math.round(value));

/** `950`, `14.2k`, `144k`, `1.2M`: three digits are enough to compare. */
export function short(value: number): string {
  if (value < 1_000) return String(Math.round(value));
  const [scaled, unit] = value < 999_500 ? [value / 1_000, 'k'] : [value / 1_000_000, 'M'];
  return `${scaled < 99.95 ? scaled.toFixed(1).replace(/\.0$/, '') : scaled.toFixed(0)}${unit}`;
}

/** `71 %`. Never 100 before it is. */
export function percent(share: number): string {
  const value = share * 100;
  return `${value < 100 ? Math.min(99, Math.round(value)) : Math.round(value)} %`;
}

/** `99.4 %`, rounded down, so that no threshold is shown as passed before it is. */
export function percentFloor(share: number, digits = 0): string {
  const factor = 10 ** digits;
  return `${(Math.floor(share * 100 * factor) / factor).toFixed(digits)} %`;
}

/** A span that has passed, one unit: `now`, `42 s`, `7 min`, `3 h`, `2 d`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 2) return 'now';
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** How long something took, two units at most: `0 s`, `18 ms`, `4.2 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  if (ms === 0) return '0 s';
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1).replace(/\.0$/, '')} s`;
  const seconds = Math.round(ms / 1_000);
  const parts: readonly (readonly [amount: number, unit: string])[] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  const shown = parts.slice(first, first + 2).filter(([amount]) => amount > 0);
  return shown.map(([amount, unit]) => `${amount} ${unit}`).join(' ');
}

const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const DATE = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

/** `14:02:11`, in the reader's own time zone. */
export const clockTime = (at: number): string => CLOCK.format(at);
/** `14:02:11.042`. */
export const preciseTime = (at: number): string =>
  `${CLOCK.format(at)}.${String(Math.floor(at % 1_000)).padStart(3, '0')}`;
/** `12 Jun 2026, 14:02:11`. */
export const dateTime = (at: number): string => DATE.format(at);

/** `1 message`, `3 messages`. */
export const plural = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`;
