/**
 * One server certificate on the disk: found, or made by the CA. The key on the disk decides: a certificate that does not
 * fit is made anew for it, so that two processes at work at the same time, or a kill in the middle, cannot leave a
 * pair behind that does not match for longer than until the next look.
 */
import { join } from 'node:path';
import { CertificateError } from '../errors.ts';
import { type Log } from '../log.ts';
import { faultOfLeaf } from './faults.ts';
import { createFile, readIfExists, replaceFile, restrictPermissions } from '../files.ts';
import { type KeyedCertificate } from './issue.ts';
import { generateKey, parseKey } from './keys.ts';
import { type Leaf } from './names.ts';

const ROUNDS = 4;

/**
 * The certificate and key for `leaf` from `directory`, in order, signed by `ca`.
 * Logs `certificate.leaf_issued` when it had to be made; throws CertificateError or FileError.
 */
export async function openLeaf(
  directory: string,
  ca: KeyedCertificate,
  leaf: Leaf,
  now: Date,
  log: Log,
): Promise<KeyedCertificate> {
  const certPath = join(directory, leaf.certificateFile);
  const keyPath = join(directory, leaf.keyFile);
  await Promise.all([restrictPermissions(certPath, 0o600, log), restrictPermissions(keyPath, 0o600, log)]);
  for (let round = 0; round < ROUNDS; round += 1) {
    const [certPem, keyPem] = await Promise.all([readIfExists(certPath), readIfExists(keyPath)]);
    const fault = faultOfLeaf(ca.certPem, leaf, certPem, keyPem, now);
    if (fault === undefined && certPem !== undefined && keyPem !== undefined) return { certPem, keyPem };
    if (keyPem === undefined) {
      await createFile(keyPath, await generateKey(), 0o600);
    } else if (parseKey(keyPem) === undefined) {
      await replaceFile(keyPath, await generateKey(), 0o600);
    } else {
      const { issueLeaf } = await import('./issue.ts');
      await replaceFile(certPath, issueLeaf(ca, leaf, keyPem, now), 0o600);
      log.info('certificate.leaf_issued', { path: certPath, reason: fault });
    }
  }
  throw new CertificateError(`${certPath} cannot be made: other processes keep changing it`);
}
