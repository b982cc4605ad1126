/** A certificate of its own for the hosts of these tests. */
import forge from 'node-forge';
import { generateKey } from '../../../src/certificates/keys.ts';

/** A name that nothing but the proxy of a test can find. */
export const HOST = 'api.example.test';

export interface KeyAndCert {
  readonly key: string;
  readonly cert: string;
}

let made: Promise<KeyAndCert> | undefined;

/** One certificate per test run, for {@link HOST}, localhost and 127.0.0.1. Whoever trusts it trusts itself only. */
export const selfSigned = (): Promise<KeyAndCert> => (made ??= makeSelfSigned());

const HOUR_MS = 3_600_000;

/** A new one. `until`: hours from now, negative for one that has expired. */
export async function makeSelfSigned({ names = [HOST, 'localhost'], until = 1 } = {}): Promise<KeyAndCert> {
  const key = await generateKey();
  const { n, e } = forge.pki.privateKeyFromPem(key);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.setRsaPublicKey(n, e);
  certificate.serialNumber = '01';
  certificate.validity.notBefore = new Date(Date.now() - 24 * HOUR_MS);
  certificate.validity.notAfter = new Date(Date.now() + until * HOUR_MS);
  const name = [{ shortName: 'CN', value: names[0] ?? HOST }];
  certificate.setSubject(name);
  certificate.setIssuer(name);
  const dns = names.map((value) => ({ type: 2, value }));
  certificate.setExtensions([
    { name: 'basicConstraints', cA: true },
    { name: 'subjectAltName', altNames: names.includes(HOST) ? [...dns, { type: 7, ip: '127.0.0.1' }] : dns },
  ]);
  certificate.sign(forge.pki.privateKeyFromPem(key), forge.md.sha256.create());
  return { key, cert: forge.pki.certificateToPem(certificate) };
}
