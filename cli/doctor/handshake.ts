/**
 * A real TLS handshake as `claude` makes it: a process of its own with `NODE_EXTRA_CA_CERTS`, through the redirector, to
 * api.anthropic.com, with nothing else to trust but what is built in.
 */
import { execFile } from 'node:child_process';
import { API_NAME } from '../../src/certificates/names.ts';
import type { Endpoint } from '../runtime/supervision.ts';

const PATIENCE_MS = 10_000;

/** CommonJS on one line, for `node -e`: it must run from anywhere, without files of ours. */
const SCRIPT = `
const [host, port, name] = process.argv.slice(1);
const socket = require('node:net').connect({ host, port: Number(port) });
socket.on('error', (error) => { console.log(error.code ?? error.message); process.exit(1); });
socket.once('connect', () => socket.write('CONNECT ' + name + ':443 HTTP/1.1\\r\\nHost: ' + name + ':443\\r\\n\\r\\n'));
socket.once('data', () => {
  const tls = require('node:tls').connect({ socket, servername: name });
  tls.once('secureConnect', () => process.exit(0));
  tls.once('error', (error) => { console.log(error.code ?? error.message); process.exit(1); });
});`;

/** Null when it succeeds, else why it does not. Never rejects. */
export function handshakeFault({ address, port }: Endpoint, caFile: string): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['-e', SCRIPT, address, String(port), API_NAME],
      { timeout: PATIENCE_MS, env: { NODE_EXTRA_CA_CERTS: caFile } },
      (error, stdout) => resolve(error === null ? null : stdout.trim() || 'it took too long'),
    );
  });
}
