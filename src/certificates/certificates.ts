/**
 * The certificates of this proxy: a CA of its own, which Claude Code is told to trust (`NODE_EXTRA_CA_CERTS=ca.pem`), and
 * the server certificates below it. `openCertificates` finds or makes them; the TLS listener takes them from here for
 * each handshake, so that a renewed one counts from the next handshake on.
 *
 * directory/ca.pem ca-key.pem         authority.ts   ten years
 *           api.pem api-key.pem       leaf.ts        397 days, renewed 30 days before
 *           localhost.pem localhost-key.pem, loopback.pem loopback-key.pem
 */
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { createSecureContext, type SecureContext, type TlsOptions } from 'node:tls';
import { CertificateError, messageOf } from '../errors.ts';
import { type Log } from '../log.ts';
import { SERVER_TLS } from '../net/tls.ts';
import { openAuthority } from './authority.ts';
import { endsAt, isAhead, isDue } from './faults.ts';
import { prepareDirectory, readIfExists } from '../files.ts';
import { type KeyedCertificate } from './issue.ts';
import { parseKey } from './keys.ts';
import { openLeaf } from './leaf.ts';
import { API_NAME, CA_FILE, CA_KEY_FILE, DAY_MS, LEAVES, LOCAL_NAME, RENEW_BEFORE_MS } from './names.ts';

export interface CertificatesOptions {
  /** Where the files live. Made with mode 0700 where it is missing. */
  readonly directory: string;
  readonly now: () => Date;
  readonly log: Log;
}

export interface Certificates {
  /** The CA certificate, PEM. The same for as long as this object lives. */
  readonly caPem: string;
  /** Where the CA certificate is, for `NODE_EXTRA_CA_CERTS`. */
  readonly caPath: string;
  /**
   * The certificate for a TLS handshake that asks for `servername` (SNI): the API's for the API's name, one for localhost,
   * one for localhost and its addresses for all else and for a client that names nobody. TLS 1.2 at least.
   */
  secureContextFor(servername: string | undefined): SecureContext;
  /**
   * What a `node:https` or `node:tls` server needs to present these certificates. Renewed ones are found by themselves for
   * clients that send SNI; for those that do not, give the server `setSecureContext(certificates.serverOptions())`
   * after a renewal.
   */
  serverOptions(): TlsOptions;
  /**
   * Renews what has less than 30 days to go, to be called daily. True: something was renewed. The CA is never touched:
   * running clients trust it. Never rejects: a failure is logged, and there are days left to try again.
   */
  renewIfDue(): Promise<boolean>;
}

interface Served extends KeyedCertificate {
  readonly certificate: X509Certificate;
  readonly context: SecureContext;
}

/**
 * Opens the certificates of `directory`, making what is missing, broken or about to expire.
 * Rejects with {@link CertificateError} where the directory cannot be read or written.
 */
export async function openCertificates({ directory, now, log }: CertificatesOptions): Promise<Certificates> {
  await prepareDirectory(directory, now(), log);
  const authority = await openAuthority(directory, now(), log);
  const caPem = authority.certPem;
  const ca = new X509Certificate(caPem);
  // Clients trust this CA: a clock is set more easily than they are all started again.
  if (isAhead(ca, now())) {
    const remedy = 'set the clock; if it is right, remove ca.pem and ca-key.pem and start again';
    log.warn('certificate.clock_behind', { clock: now().toISOString(), caValidFrom: ca.validFrom, remedy });
  }
  let served = await openServed(directory, authority, now(), log);

  function secureContextFor(servername: string | undefined): SecureContext {
    const name = servername?.toLowerCase().replace(/\.$/, '');
    if (name === API_NAME) return served.api.context;
    return name === LOCAL_NAME ? served.localhost.context : served.loopback.context;
  }

  async function renewIfDue(): Promise<boolean> {
    const today = now();
    const daysLeft = Math.floor((endsAt(ca) - today.getTime()) / DAY_MS);
    if (daysLeft * DAY_MS < RENEW_BEFORE_MS)
      log.warn('certificate.ca_expires', { daysLeft, remedy: 'restart the proxy' });
    if (!Object.values(served).some(({ certificate }) => isDue(certificate, ca, today))) return false;
    try {
      served = await openServed(directory, await sameAuthority(directory, caPem, ca), today, log);
      log.info('certificate.renewed', { until: served.api.certificate.validTo });
      return true;
    } catch (error) {
      log.error('certificate.renewal_failed', { reason: messageOf(error) });
      return false;
    }
  }

  return {
    caPem,
    caPath: join(directory, CA_FILE),
    secureContextFor,
    serverOptions: () => ({
      cert: served.loopback.certPem,
      key: served.loopback.keyPem,
      ...SERVER_TLS,
      SNICallback: (servername, answer) => answer(null, secureContextFor(servername)),
    }),
    renewIfDue,
  };
}

type AllServed = Readonly<Record<keyof typeof LEAVES, Served>>;

async function openServed(directory: string, ca: KeyedCertificate, now: Date, log: Log): Promise<AllServed> {
  const [api, localhost, loopback] = await Promise.all([
    openLeaf(directory, ca, LEAVES.api, now, log),
    openLeaf(directory, ca, LEAVES.localhost, now, log),
    openLeaf(directory, ca, LEAVES.loopback, now, log),
  ]);
  return { api: serve(api), localhost: serve(localhost), loopback: serve(loopback) };
}

function serve({ certPem, keyPem }: KeyedCertificate): Served {
  const context = createSecureContext({ cert: certPem, key: keyPem, ...SERVER_TLS });
  return { certPem, keyPem, certificate: new X509Certificate(certPem), context };
}

/** The CA that this process was started with, its key read again: it is not kept in memory between renewals. */
async function sameAuthority(directory: string, certPem: string, ca: X509Certificate): Promise<KeyedCertificate> {
  const found = await readIfExists(join(directory, CA_FILE));
  const keyPem = await readIfExists(join(directory, CA_KEY_FILE));
  const key = keyPem === undefined ? undefined : parseKey(keyPem);
  if (found !== certPem || keyPem === undefined || key === undefined || !ca.checkPrivateKey(key)) {
    throw new CertificateError(`the CA in ${directory} has changed since the start: restart the proxy`);
  }
  return { certPem, keyPem };
}
