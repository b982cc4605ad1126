/**
 * Settings of one launch of the client. The proxy may have been started by another launch, so they travel with every
 * request, as headers that the launcher puts into `ANTHROPIC_CUSTOM_HEADERS` and the forwarder takes off again:
 *
 *   x-dbproxy-checkpoint-threshold   DBPROXY_CHECKPOINT_THRESHOLD      share in (0, 1)
 *   x-dbproxy-swap-threshold         DBPROXY_SWAP_THRESHOLD            share in (0, 1)
 *   x-dbproxy-compact-window         CLAUDE_CODE_AUTO_COMPACT_WINDOW   as the user wrote it: 200000, 200k, 1m
 *   x-dbproxy-compact-percent        CLAUDE_AUTOCOMPACT_PCT_OVERRIDE   as the user wrote it: 80
 *
 * Only what a launch was given travels. Anybody can send these: a value that cannot be used is one that was not sent.
 */
import type { Thresholds } from '../../machines/conversation-events.ts';
import { tokens, type Tokens } from '../../machines/units.ts';
import { headerValue, type RawHeaders } from './headers.ts';
import { clientCompactionPoint } from './windows.ts';

/** Null where the launch said nothing. */
export interface LaunchSettings {
  readonly checkpoint: number | null;
  readonly swap: number | null;
  /** Window that the client reckons with where the model's own is larger. */
  readonly window: Tokens | null;
  /** Share of the effective window at which the client compacts, in (0, 1]. */
  readonly compaction: number | null;
}

/** All headers of ours begin so; none of them is the API's business. */
const PREFIX = 'x-dbproxy-';
const CHECKPOINT = `${PREFIX}checkpoint-threshold`;
const SWAP = `${PREFIX}swap-threshold`;
const WINDOW = `${PREFIX}compact-window`;
const PERCENT = `${PREFIX}compact-percent`;

/** Variable → header. */
export const LAUNCH_HEADERS: readonly (readonly [variable: string, header: string])[] = [
  ['DBPROXY_CHECKPOINT_THRESHOLD', CHECKPOINT],
  ['DBPROXY_SWAP_THRESHOLD', SWAP],
  ['CLAUDE_CODE_AUTO_COMPACT_WINDOW', WINDOW],
  ['CLAUDE_AUTOCOMPACT_PCT_OVERRIDE', PERCENT],
];

/** What the client takes for the least (observed on 2.1.330); smaller values count as this. */
const MIN_WINDOW = 100_000;
/** Larger than any model's; what is above is a mistake. */
const LARGEST_WINDOW = 1_000_000_000;
/** Where a threshold has to make way: the checkpoint keeps this share of the swap, as 70 % does of 80 %. */
const CHECKPOINT_OF_SWAP = 7 / 8;

/** True for the name of a header, as it came, that must not go on to the API. */
export const isLaunchHeader = (name: string): boolean => name.slice(0, PREFIX.length).toLowerCase() === PREFIX;

const decimal = (text: string | undefined): number =>
  text !== undefined && /^\d*\.?\d+$/.test(text) ? Number(text) : NaN;

function share(text: string | undefined): number | null {
  const value = decimal(text?.trim());
  return value > 0 && value < 1 ? value : null;
}

function windowOf(text: string | undefined): Tokens | null {
  const [, number, unit = ''] = /^(\d*\.?\d+)\s*([km]?)$/i.exec(text?.trim() ?? '') ?? [];
  const factor = { k: 1_000, m: 1_000_000 }[unit.toLowerCase()] ?? 1;
  const value = Math.round(decimal(number) * factor);
  return value >= 1 && value <= LARGEST_WINDOW ? tokens(Math.max(MIN_WINDOW, value)) : null;
}

function percent(text: string | undefined): number | null {
  const value = decimal(text?.trim().replace(/\s*%$/, ''));
  return value > 0 && value <= 100 ? value / 100 : null;
}

/** Reads the settings that came with a request. Never throws. */
export function readLaunchSettings(headers: RawHeaders): LaunchSettings {
  return {
    checkpoint: share(headerValue(headers, CHECKPOINT)),
    swap: share(headerValue(headers, SWAP)),
    window: windowOf(headerValue(headers, WINDOW)),
    compaction: percent(headerValue(headers, PERCENT)),
  };
}

/** The window that a launch's conversations have: the model's, unless the launch was given a smaller one. */
export function launchWindow(window: Tokens, { window: given }: LaunchSettings): Tokens {
  return given !== null && given < window ? given : window;
}

/**
 * The thresholds of a launch's conversations: the launch's own, else the proxy's; the swap never later than the client's
 * own compaction, where the user has moved that, and the checkpoint always before the swap.
 */
export function launchThresholds(proxy: Thresholds, launch: LaunchSettings, effective: Tokens): Thresholds {
  const { compaction } = launch;
  if (launch.checkpoint === null && launch.swap === null && compaction === null) return proxy;
  // Of a window so small that the client's margin is all of it, the point is zero and says nothing.
  const point = clientCompactionPoint(effective) / effective;
  const client = Math.min(compaction ?? 1, point > 0 ? point : 1);
  const asked = launch.swap ?? (compaction === null ? proxy.swap : client);
  const swap = compaction === null ? asked : Math.min(asked, client);
  const checkpoint = launch.checkpoint ?? proxy.checkpoint;
  return { checkpoint: checkpoint < swap ? checkpoint : swap * CHECKPOINT_OF_SWAP, swap };
}
