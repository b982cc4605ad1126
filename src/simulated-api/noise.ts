/** Garbage bytes, and events that a client has to ignore. */
import { formatEvent } from './events.ts';

/** In place of an HTTP answer. */
export const GARBAGE_HTTP = '\u0016\u0003\u0001 this is not HTTP\r\n\r\n';

/** In the middle of a stream: a broken piece of JSON and a line that is no field. */
export const GARBAGE_SSE =
  'event: content_block_delta\ndata: {"type":"content_block_delta","ind\n\n%%% not an event %%%\n\n';

/** Comments, pings and unknown events, sent before the real event number `index`. */
export function noise(index: number): string {
  const comment = ': keep-alive\n\n';
  const ping = formatEvent({ name: 'ping', data: { type: 'ping' } });
  const unknown = formatEvent({ name: 'moon_phase', data: { type: 'moon_phase', index, phase: 'waxing' } });
  return index === 0 ? comment + ping : unknown + (index % 2 === 0 ? ping : comment);
}
