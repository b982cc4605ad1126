/** Rigs that start quickly: the certificates are made once per test run and copied. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCertificates } from '../../../src/certificates/certificates.ts';
import type { Environment } from '../../../src/config/config.ts';
import { silentLog } from '../../../src/log.ts';
import type { SimulatedApiOptions } from '../../../src/simulated-api/index.ts';
import { startRig, type Rig } from '../../support/rig.ts';
import { closeClients } from './raw-client.ts';
import { startRawUpstream, type RawUpstream, type Serve } from './raw-upstream.ts';

let made: Promise<string> | undefined;

async function makeCertificates(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'dbproxy-certs-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  await openCertificates({ directory, now: () => new Date(), log: silentLog });
  return directory;
}

/** A new data directory that holds certificates already. */
export async function newDataDir(): Promise<string> {
  const certificates = await (made ??= makeCertificates());
  const dataDir = mkdtempSync(join(tmpdir(), 'dbproxy-test-'));
  mkdirSync(join(dataDir, 'certs'), { mode: 0o700 });
  cpSync(certificates, join(dataDir, 'certs'), { recursive: true });
  return dataDir;
}

/** {@link startRig}, sooner. `dataDir` is where the proxy really keeps its files. */
export async function quickRig(env: Environment = {}, options: SimulatedApiOptions = {}): Promise<Rig> {
  const dataDir = await newDataDir();
  const rig = await startRig({ DBPROXY_DATA_DIR: dataDir, ...env }, options);
  return {
    ...rig,
    dataDir,
    async close() {
      await closeClients(rig.proxy);
      await rig.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

export interface RawRig extends Rig {
  readonly upstream: RawUpstream;
}

/** A proxy in front of an upstream that speaks raw bytes. */
export async function rawRig(serve?: Serve, env: Environment = {}): Promise<RawRig> {
  const upstream = await startRawUpstream(serve);
  const rig = await quickRig({ DBPROXY_UPSTREAM_URL: upstream.url, ...env });
  return {
    ...rig,
    upstream,
    async close() {
      await rig.close();
      await upstream.close();
    },
  };
}
