/** The head of a request to the upstream: as received except for hop-by-hop headers, `Host` and the path's prefix. */
import { hasConnectionOption, type Framing } from '../http1/framing.ts';
import { formatRequestHead, type RequestHead } from '../http1/head.ts';
import { endToEnd, headerValue, withHeaderValue, type RawHeaders } from '../wire/headers.ts';
import { isLaunchHeader } from '../wire/launch-settings.ts';

export interface UpstreamName {
  /** Value of `Host` towards the upstream. */
  readonly upstreamHost: string;
  /** Path prefix of the upstream, '' without one. */
  readonly upstreamPrefix: string;
}

export const upstreamNameOf = ({ host, pathname }: URL): UpstreamName => ({
  upstreamHost: host,
  upstreamPrefix: pathname.replace(/\/$/, ''),
});

/** The end-to-end headers of a request, without those that the launcher adds for the proxy. */
export const requestHeaders = (raw: RawHeaders): string[] => endToEnd(raw, isLaunchHeader);

const isUpgrade = (headers: RawHeaders): boolean =>
  headerValue(headers, 'upgrade') !== undefined && hasConnectionOption(headers, 'upgrade');

/** Formats the head of a request to the upstream. @param headers from {@link requestHeaders}, possibly changed */
export function requestHead(
  upstream: UpstreamName,
  { framing, head }: { readonly framing: Framing; readonly head: RequestHead },
  headers: RawHeaders,
): Buffer {
  const host = upstream.upstreamHost;
  let all = withHeaderValue(headers, 'host', () => host);
  if (headerValue(headers, 'host') === undefined) all = ['Host', host, ...all];
  // Chunked bodies are forwarded chunk by chunk, so they need the hop-by-hop `Transfer-Encoding` again.
  if (framing.kind === 'chunked') all = [...all, 'Transfer-Encoding', 'chunked'];
  if (isUpgrade(head.headers)) {
    all = [...all, 'Connection', 'Upgrade', 'Upgrade', headerValue(head.headers, 'upgrade') ?? ''];
  }
  const target = head.target.startsWith('/') ? upstream.upstreamPrefix + head.target : head.target;
  return formatRequestHead({ method: head.method, target, headers: all });
}
