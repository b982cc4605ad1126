/**
 * Settings of one launch of the client. The proxy may belong to another launch, so every request carries them in headers,
 * which the launcher puts into `ANTHROPIC_CUSTOM_HEADERS` and the forwarder removes:
 *
 *   x-dbproxy-checkpoint-threshold   DBPROXY_CHECKPOINT_THRESHOLD      share in (0, 1)
 *   x-dbproxy-swap-threshold         DBPROXY_SWAP_THRESHOLD            share in (0, 1)
 *   x-dbproxy-compact-window         CLAUDE_CODE_AUTO_COMPACT_WINDOW   as the user wrote it: 200000, 200k, 1m
 *   x-dbproxy-compact-percent        CLAUDE_AUTOCOMPACT_PCT_OVERRIDE   as the user wrote it: 80
 *
 * Any client can send these headers: an invalid value counts as none.
 */
import type { Thresholds } from '../../machines/conversation-events.ts';
import { tokens, type Tokens } from '../../machines/units.ts';
import { headerValue, type RawHeaders } from './headers.ts';
import { clientCompactionPoint } from './windows.ts';

/** Null: not set. */
export interface LaunchSettings {
  readonly checkpoint: number | null;
  readonly swap: number | null;
  /** The client computes with the smaller of this and the model's window. */
  readonly window: Tokens | null;
  /** Share of the effective window at which the client compacts, in (0, 1]. */
  readonly compaction: number | null;
}

/** Headers with this prefix are not sent to the API. */
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

/** The client raises smaller values to this (observed on 2.1.330). */
const MIN_WINDOW = 100_000;
/** Larger than any model's window; values above are invalid. */
const MAX_WINDOW = 1_000_000_000;
/** Checkpoint threshold as a share of a lowered swap threshold, as 70 % is of 80 %. */
const CHECKPOINT_OF_SWAP = 7 / 8;

/** True for the name of a launch setting's header, in any case of letters. */
export const isLaunchHeader = (name: string): boolean => name.slice(0, PREFIX.length).toLowerCase() === PREFIX;

const parseDecimal = (text: string | undefined): number =>
  text !== undefined && /^\d*\.?\d+$/.test(text) ? Number(text) : NaN;

function parseShare(text: string | undefined): number | null {
  const value = parseDecimal(text?.trim());
  return value > 0 && value < 1 ? value : null;
}

function parseWindow(text: string | undefined): Tokens | null {
  const [, number, unit = ''] = /^(\d*\.?\d+)\s*([km]?)$/i.exec(text?.trim() ?? '') ?? [];
  const factor = { k: 1_000, m: 1_000_000 }[unit.toLowerCase()] ?? 1;
  const value = Math.round(parseDecimal(number) * factor);
  return value >= 1 && value <= MAX_WINDOW ? tokens(Math.max(MIN_WINDOW, value)) : null;
}

function parsePercent(text: string | undefined): number | null {
  const value = parseDecimal(text?.trim().replace(/\s*%$/, ''));
  return value > 0 && value <= 100 ? value / 100 : null;
}

/** Reads the settings in a request's headers. Never throws. */
export function readLaunchSettings(headers: RawHeaders): LaunchSettings {
  return {
    checkpoint: parseShare(headerValue(headers, CHECKPOINT)),
    swap: parseShare(headerValue(headers, SWAP)),
    window: parseWindow(headerValue(headers, WINDOW)),
    compaction: parsePercent(headerValue(headers, PERCENT)),
  };
}

/** The context window of a launch's conversations: the smaller of the model's and the launch's. */
export function launchWindow(window: Tokens, { window: given }: LaunchSettings): Tokens {
  return given !== null && given < window ? given : window;
}

/**
 * The thresholds of a launch's conversations: the launch's, else the proxy's. Where the user has lowered the client's
 * compaction, the swap is not after it; the checkpoint is always before the swap.
 */
export function launchThresholds(proxy: Thresholds, launch: LaunchSettings, effective: Tokens): Thresholds {
  const { compaction } = launch;
  if (launch.checkpoint === null && launch.swap === null && compaction === null) return proxy;
  // The point is zero for a window that is not larger than the client's margin.
  const point = clientCompactionPoint(effective) / effective;
  const client = Math.min(compaction ?? 1, point > 0 ? point : 1);
  const asked = launch.swap ?? (compaction === null ? proxy.swap : client);
  const swap = compaction === null ? asked : Math.min(asked, client);
  const checkpoint = launch.checkpoint ?? proxy.checkpoint;
  return { checkpoint: checkpoint < swap ? checkpoint : swap * CHECKPOINT_OF_SWAP, swap };
}
