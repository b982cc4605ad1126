/** All ways to the API: kept-alive connections for forwarded requests, an HTTP client for requests of the proxy itself. */
import type { Config } from '../config/config.ts';
import type { Log } from '../log.ts';
import { UpstreamConnections } from './connections.ts';
import { openHttpClient, type HttpClient } from './http-client.ts';
import { ModelWindows } from './model-windows.ts';
import { OutboundTunnels, type OutboundTunnelsOptions } from './outbound-tunnel.ts';

export interface UpstreamOptions extends Pick<OutboundTunnelsOptions, 'isOwn' | 'ca'> {
  readonly config: Pick<Config, 'upstreamUrl' | 'outboundProxy' | 'passthrough'>;
  readonly log: Log;
}

export interface Upstream {
  readonly connections: UpstreamConnections;
  readonly client: HttpClient;
  readonly modelWindows: ModelWindows;
  /** Connections to any host, for blind tunnels. */
  readonly tunnels: OutboundTunnels;
  close(): Promise<void>;
}

/** @param options `ca`: see {@link OutboundTunnelsOptions}; used for the API too */
export function openUpstream({ ca, config, isOwn, log }: UpstreamOptions): Upstream {
  const tunnels = new OutboundTunnels({ proxy: config.outboundProxy, ca, ...(isOwn === undefined ? {} : { isOwn }) });
  const connector = { url: config.upstreamUrl, ca, tunnels };
  const connections = new UpstreamConnections(connector);
  const client = openHttpClient(connector);
  return {
    connections,
    client,
    modelWindows: new ModelWindows({ client, log, enabled: !config.passthrough }),
    tunnels,
    close() {
      connections.close();
      return client.close();
    },
  };
}
