/**
 * Whether a healthy proxy of ours is on a port, asked the way `claude` will go: a CONNECT to the redirector, TLS as
 * api.anthropic.com checked against our own CA, `GET /health`. One question that proves redirector, forwarder and
 * certificates, and that nobody else sits on the port. (startup-probe.sh asks the same earlier with curl.)
 */
import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { API_NAME } from '../src/certificates/names.ts';
import type { Health } from '../src/admin/health.ts';
import { codeOf } from '../src/errors.ts';
import { VERSION } from '../src/version.ts';
import type { DataPaths } from './installation.ts';

/** Why there is no healthy proxy there. */
export type Trouble =
  /** Nobody listens. */
  | 'nobody'
  /** Somebody listens who is not ours, or whom our CA does not vouch for. */
  | 'stranger'
  /** It took too long. */
  | 'silent'
  /** No CA certificate yet (or none that can be read): nothing of ours can have run here. */
  | 'no_ca';

export type HealthCheck =
  { readonly healthy: true; readonly health: Health } | { readonly healthy: false; readonly trouble: Trouble };

export interface CheckTarget {
  /** Address of the redirector. */
  readonly host: string;
  readonly port: number;
  /** For the whole of it, in milliseconds. */
  readonly timeoutMs: number;
}

/** A thousand compactions and a thousand checkpoints; anything else is short. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

class Unhealthy extends Error {
  readonly trouble: Trouble;

  constructor(trouble: Trouble) {
    super(trouble);
    this.trouble = trouble;
  }
}

/** Where a client on this machine reaches a listener that is bound to `host`. */
export function reachableAddress(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' || host === '[::]' ? '::1' : host;
}

/** Asks the proxy behind a redirector. Never rejects. */
export async function checkHealth(layout: DataPaths, question: CheckTarget): Promise<HealthCheck> {
  let ca: Buffer;
  try {
    ca = readFileSync(layout.ca);
  } catch {
    return { healthy: false, trouble: 'no_ca' };
  }
  const answer = await ask(question, ca, request('/health'));
  if (typeof answer === 'string') return { healthy: false, trouble: answer };
  const health = readHealth(answer);
  return health === null ? { healthy: false, trouble: 'stranger' } : { healthy: true, health };
}

/** A GET of one of our own pages through the redirector. `headers`: complete lines. */
export function request(path: string, headers: readonly string[] = []): string {
  const lines = [`GET ${path} HTTP/1.1`, 'Host: localhost', 'Connection: close', ...headers];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

export interface PageAnswer {
  readonly status: number;
  readonly body: string;
}

/** Sends `text` through a tunnel of the redirector to our forwarder; resolves with the answer, or with why there is none. */
export async function ask(question: CheckTarget, ca: Buffer, text: string): Promise<PageAnswer | Trouble> {
  const { host, port, timeoutMs } = question;
  // Loaded here: it takes as long as a third of a launch, which seldom needs it.
  const { connect: connectTls } = await import('node:tls');
  const tcp = connectTcp({ host, port });
  const timer = setTimeout(() => tcp.destroy(new Unhealthy('silent')), timeoutMs);
  const secure = (): TLSSocket =>
    // The certificate names the API: nobody but the holder of our CA's key can show it and be believed here.
    connectTls({ socket: tcp, servername: API_NAME, ca, minVersion: 'TLSv1.2' });
  return exchange(tcp, secure, text)
    .catch((error: unknown) => troubleOf(error))
    .finally(() => {
      clearTimeout(timer);
      tcp.destroy();
    });
}

/** @param secure TLS on top of `tcp` */
async function exchange(tcp: Socket, secure: () => TLSSocket, text: string): Promise<PageAnswer> {
  await tunnel(tcp);
  return new Promise((resolve, reject) => {
    const tls = secure();
    let answer = '';
    tls.setEncoding('utf8');
    tls.once('secureConnect', () => tls.write(text));
    tls.on('data', (chunk: string) => {
      answer += chunk;
      if (answer.length > MAX_ANSWER_BYTES) reject(new Unhealthy('stranger'));
      const whole = readAnswer(answer);
      if (whole !== null) resolve(whole);
    });
    tls.once('end', () => reject(new Unhealthy('stranger')));
    tls.once('error', reject);
    // When patience ends the tunnel goes, which the TLS above it does not always tell.
    tcp.once('error', reject);
    tcp.once('close', () => reject(new Unhealthy('stranger')));
  });
}

/** Opens the tunnel that `claude` would open. */
function tunnel(tcp: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const onData = (chunk: Buffer): void => {
      answer += chunk.toString('latin1');
      if (!answer.includes('\r\n\r\n') && answer.length < 4096) return;
      tcp.off('data', onData).off('error', reject);
      tcp.pause();
      if (answer.startsWith('HTTP/1.1 200 ') && answer.endsWith('\r\n\r\n')) resolve();
      else reject(new Unhealthy('stranger'));
    };
    tcp.on('data', onData);
    tcp.once('error', reject);
    tcp.once('end', () => reject(new Unhealthy('stranger')));
    tcp.once('connect', () => tcp.write(`CONNECT ${API_NAME}:443 HTTP/1.1\r\nHost: ${API_NAME}:443\r\n\r\n`));
  });
}

function troubleOf(error: unknown): Trouble {
  if (error instanceof Unhealthy) return error.trouble;
  const code = codeOf(error);
  return code === 'ECONNREFUSED' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' ? 'nobody' : 'stranger';
}

/** The answer, once it is there as a whole: our pages tell their length. */
function readAnswer(text: string): PageAnswer | null {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = text.slice(0, end);
  const body = text.slice(end + 4);
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0);
  const length = /^content-length: *(\d+)/im.exec(head)?.[1];
  if (length === undefined || Buffer.byteLength(body) < Number(length)) return null;
  return { status, body };
}

/** Reads the answer of `/health`; null for any other answer. Proxies of older versions spell the fields in snake_case. */
export function readHealth({ status, body }: PageAnswer): Health | null {
  if (status !== 200) return null;
  try {
    const health = JSON.parse(body) as Partial<Health>;
    if (health.status !== 'ok' || typeof health.version !== 'string') return null;
    const older = {
      uptimeSeconds: health.uptime_s,
      checkpointThreshold: health.checkpoint_threshold,
      swapThreshold: health.swap_threshold,
      activeConnections: health.open_connections,
      checkpointCalls: health.checkpoint_calls,
    };
    return { ...older, ...health } as Health;
  } catch {
    return null;
  }
}

/** True when `version` is older than this program: 1.2.3 by numbers; what is no version is older than all. */
export function isOlder(version: string, than: string = VERSION): boolean {
  const parts = (text: string): readonly number[] =>
    (/^(\d+)\.(\d+)\.(\d+)/.exec(text) ?? ['', '-1', '-1', '-1']).slice(1).map(Number);
  const [a, b] = [parts(version), parts(than)];
  for (let at = 0; at < 3; at += 1) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
