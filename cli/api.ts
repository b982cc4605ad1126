/** The proxy's own pages, asked by the commands: through the redirector, with the token. */
import { readFileSync } from 'node:fs';
import { RuntimeError } from '../src/errors.ts';
import { ask, request } from './health-check.ts';
import type { DataPaths } from './installation.ts';
import type { Endpoint } from './runtime/supervision.ts';

/** The token; null where there is none that can be read. */
export function readToken(layout: DataPaths): string | null {
  try {
    const token = readFileSync(layout.token, 'utf8').trim();
    return /^[\w-]{43}$/.test(token) ? token : null;
  } catch {
    return null;
  }
}

export type ApiAnswer =
  | { readonly status: number; readonly json: unknown }
  /** It could not be asked. */
  | { readonly status: 0; readonly json: null };

/** `GET path`, parsed. Never rejects. */
export async function askApi(layout: DataPaths, at: Endpoint, path: string, timeoutMs: number): Promise<ApiAnswer> {
  try {
    const token = readToken(layout);
    const headers = token === null ? [] : [`Authorization: Bearer ${token}`];
    const question = { host: at.address, port: at.port, timeoutMs };
    const answer = await ask(question, readFileSync(layout.ca), request(path, headers));
    if (typeof answer === 'string') return { status: 0, json: null };
    return { status: answer.status, json: JSON.parse(answer.body) };
  } catch {
    return { status: 0, json: null };
  }
}

/** @throws RuntimeError that says what to do */
export const notRunning = (): RuntimeError =>
  new RuntimeError('the proxy is not running; start it with `claude-db-proxy start`, or just start claude');
