/**
 * `claude-db-proxy statusline`: Claude Code's JSON on stdin, one line on stdout. Runs beside the status line's command
 * that the user had before, with the same input. Whatever is wrong, it says nothing and ends well: it is asked all the
 * time, and nobody could read an error there. Loaded without the other commands, because it has to be quick.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Environment } from '../../src/config/config.ts';
import type { StatusLineAnswer } from '../../src/admin/status-routes.ts';
import { isObject } from '../../src/wire/json.ts';
import { askApi, type ApiAnswer } from '../api.ts';
import { readInstallRecord } from '../installation.ts';
import { lastKnownRecord, endpointOf, type Endpoint } from '../runtime/supervision.ts';
import { contextOf } from '../context.ts';
import { joined, lineText } from './line-text.ts';

/** For the proxy's answer. */
const PATIENCE_MS = 250;
/** For the user's own command; Claude Code itself does not wait for ever. */
const USERS_MS = 5_000;

/** Prints the line. Never rejects; the exit code is 0. */
export async function statusline(env: Environment): Promise<void> {
  process.stdout.on('error', () => undefined);
  let input: string;
  try {
    input = readFileSync(0, 'utf8');
  } catch {
    input = '';
  }
  const [users, ours] = await Promise.all([usersLine(env, input), ourLine(env, input)]);
  process.stdout.write(joined(users, ours) + (users + ours === '' ? '' : '\n'));
}

async function ourLine(env: Environment, input: string): Promise<string> {
  try {
    const { session, hasSpoken } = readInput(input);
    if (session === null) return '';
    const site = contextOf(env);
    const place = endpointOf(site, lastKnownRecord(site));
    const path = `/api/statusline?session=${encodeURIComponent(session)}`;
    const answer = await askApi(site.layout, place, path, PATIENCE_MS);
    const throughUs = answer.status !== 0 && isOurs(env, place);
    return lineText({ answer: readAnswer(answer), throughUs, hasSpoken });
  } catch {
    return '';
  }
}

function readInput(input: string): { readonly session: string | null; readonly hasSpoken: boolean } {
  const json: unknown = JSON.parse(input);
  if (!isObject(json)) return { session: null, hasSpoken: false };
  const { session_id: session, cost } = json;
  const spent = isObject(cost) ? cost['total_api_duration_ms'] : undefined;
  return { session: typeof session === 'string' ? session : null, hasSpoken: typeof spent === 'number' && spent > 0 };
}

function readAnswer({ status, json }: ApiAnswer): StatusLineAnswer | null {
  return status === 200 && isObject(json) ? (json as unknown as StatusLineAnswer) : null;
}

/** True where this environment, which is `claude`'s, leads to our proxy. */
const isOurs = (env: Environment, { url }: Endpoint): boolean => env['HTTPS_PROXY'] === url;

/** What the user's own command prints; '' where there is none. */
function usersLine(env: Environment, input: string): Promise<string> {
  let command: string | null = null;
  try {
    command = readInstallRecord(contextOf(env).layout)?.statusLineBefore ?? null;
  } catch {
    // The settings cannot be used: then where the record is cannot be told either.
  }
  if (command === null) return Promise.resolve('');
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['pipe', 'pipe', 'ignore'] });
  return new Promise((resolve) => {
    let output = '';
    const timer = setTimeout(() => child.kill('SIGKILL'), USERS_MS);
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
    child.stdin.on('error', () => undefined); // it need not read it
    child.stdin.end(input);
    child.once('error', () => resolve(output));
    child.once('close', () => {
      clearTimeout(timer);
      resolve(output);
    });
  });
}
