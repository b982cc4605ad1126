/** Run by `extra-ca.test.ts` in a process of its own: asks the upstream both ways, and prints the two statuses. */
import { parseConfig } from '../../../src/config/config.ts';
import { UpstreamConnections } from '../../../src/upstream/connections.ts';
import { openHttpClient } from '../../../src/upstream/http-client.ts';
import { OutboundTunnels } from '../../../src/upstream/outbound-tunnel.ts';

const { outboundProxy, upstreamUrl: url } = parseConfig(process.env);
const tunnels = new OutboundTunnels({ proxy: outboundProxy });
const connections = new UpstreamConnections({ url, tunnels });
const upstream = openHttpClient({ url, tunnels });

async function raw(): Promise<string> {
  const lease = await connections.lease();
  lease.socket.write('GET /v1/models HTTP/1.1\r\nHost: x\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\n\r\n');
  const chunk = await new Promise<Buffer>((resolve, reject) => {
    lease.setListener({ onData: resolve, onDrain: () => undefined, onClose: () => reject(new Error('it was closed')) });
  });
  return chunk.toString('latin1').slice(9, 12);
}

const viaUndici = (): Promise<string> =>
  new Promise((resolve, reject) => {
    const headers = ['x-api-key', 'k', 'anthropic-version', '2023-06-01'];
    upstream.send(
      { method: 'GET', path: '/v1/models', headers, body: null },
      {
        onHead: (status) => resolve(String(status)),
        onData: () => true,
        onEnd: () => undefined,
        onError: reject,
      },
    );
  });

const told = (error: unknown): string => (error instanceof Error ? error.message : String(error));
process.stdout.write(JSON.stringify([await raw().catch(told), await viaUndici().catch(told)]));
connections.close();
await upstream.close();
