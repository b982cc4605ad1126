/**
 * The CA on the disk: found, made on the first start, or set aside and made anew where it can sign no more.
 * Two processes that start at once end up with one CA: the first to link `ca-key.pem` into the directory decides on the
 * key, the first to link `ca.pem` on the certificate, and everybody goes on with what is then there. A kill between
 * the two leaves a key without a certificate, for which the next start makes one.
 */
import { join } from 'node:path';
import { CertificateError } from '../errors.ts';
import { type Log } from '../log.ts';
import { faultOfCa } from './faults.ts';
import { createFile, readIfExists, setAside, restrictPermissions } from '../files.ts';
import { generateKey, parseKey } from './keys.ts';
import { type KeyedCertificate } from './issue.ts';
import { CA_FILE, CA_KEY_FILE } from './names.ts';

/** Rounds of "look, make what is missing, look again". Each needs one more process interfering than the last. */
const ROUNDS = 5;

/**
 * The CA of `directory`, in order and with at least 30 days to go.
 * Logs `certificate.ca_created` or `certificate.ca_replaced`; throws CertificateError or FileError.
 */
export async function openAuthority(directory: string, now: Date, log: Log): Promise<KeyedCertificate> {
  const certPath = join(directory, CA_FILE);
  const keyPath = join(directory, CA_KEY_FILE);
  await restrictPermissions(keyPath, 0o600, log);
  for (let round = 0; round < ROUNDS; round += 1) {
    const certPem = await readIfExists(certPath);
    // The key second: it is written first, so whoever sees a certificate sees its key.
    const keyPem = await readIfExists(keyPath);
    if (certPem !== undefined) {
      const fault = faultOfCa(certPem, keyPem, now);
      if (fault === undefined && keyPem !== undefined) return { certPem, keyPem };
      // Another process may have changed both between the two reads: judge only what belongs together.
      if ((await readIfExists(certPath)) !== certPem) continue;
      const suffix = `broken-${stamp(now)}`;
      // The key first: a key alone would be given a certificate by another process that starts now.
      if (keyPem !== undefined) await setAside(keyPath, keyPem, suffix);
      await setAside(certPath, certPem, suffix);
      log.warn('certificate.ca_replaced', { reason: fault, path: certPath, kept: `${certPath}.${suffix}` });
    } else if (keyPem === undefined) {
      await createFile(keyPath, await generateKey(), 0o600);
    } else if (parseKey(keyPem) === undefined) {
      await setAside(keyPath, keyPem, `broken-${stamp(now)}`);
    } else {
      const { issueCa } = await import('./issue.ts');
      if (await createFile(certPath, issueCa(keyPem, now), 0o644))
        log.info('certificate.ca_created', { path: certPath });
    }
  }
  throw new CertificateError(
    `${directory} holds no usable CA and none could be made: other processes keep changing it`,
  );
}

/** `20260131T235959000Z`: a time that may stand in a file name everywhere. */
function stamp(now: Date): string {
  return now.toISOString().replaceAll(/[-:.]/g, '');
}
