/**
 * What is wrong with a certificate that was found on the disk, in words for the log, or undefined where nothing is.
 * Pure, and node:crypto only: a start that finds everything in place must not pay for node-forge.
 */
import { X509Certificate } from 'node:crypto';
import { parseKey } from './keys.ts';
import { RENEW_BEFORE_MS, type Leaf } from './names.ts';

/** The certificate in `pem`, or undefined where it holds none. */
export function parseCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/**
 * Why this CA cannot sign (any longer), or undefined. That its time has not begun yet is no fault of its own: the clock
 * is behind, see {@link isAhead}.
 */
export function faultOfCa(certPem: string, keyPem: string | undefined, now: Date): string | undefined {
  const certificate = parseCertificate(certPem);
  if (certificate === undefined) return 'the CA certificate is no certificate';
  if (keyPem === undefined) return 'the CA key is missing';
  const key = parseKey(keyPem);
  if (key === undefined) return 'the CA key is no RSA private key';
  if (!certificate.checkPrivateKey(key)) return 'the CA key belongs to another certificate';
  if (!certificate.ca || !certificate.verify(certificate.publicKey)) return 'the CA certificate is no self-signed CA';
  if (endsAt(certificate) - now.getTime() < RENEW_BEFORE_MS)
    return 'the CA certificate has expired or will within 30 days';
  return undefined;
}

/** Why a server certificate must be made anew, or undefined. The CA is one without fault. */
export function faultOfLeaf(
  caPem: string,
  leaf: Leaf,
  certPem: string | undefined,
  keyPem: string | undefined,
  now: Date,
): string | undefined {
  if (certPem === undefined || keyPem === undefined) return 'missing';
  const certificate = parseCertificate(certPem);
  const key = parseKey(keyPem);
  if (certificate === undefined || key === undefined) return 'unreadable';
  if (!certificate.checkPrivateKey(key)) return 'the key belongs to another certificate';
  const ca = new X509Certificate(caPem);
  if (!certificate.checkIssued(ca) || !certificate.verify(ca.publicKey)) return 'signed by another CA';
  if (!speaksFor(certificate, leaf)) return 'made for other names';
  // Made by a clock that was ahead. By one that is behind nothing would be valid, and this will be again.
  if (isAhead(certificate, now) && !isAhead(ca, now)) return 'not valid yet';
  if (isDue(certificate, ca, now)) return 'expired or about to';
  return undefined;
}

/** Whether less than 30 days are left and a new certificate would last longer: none outlives its CA. */
export function isDue(certificate: X509Certificate, ca: X509Certificate, now: Date): boolean {
  return endsAt(certificate) - now.getTime() < RENEW_BEFORE_MS && endsAt(certificate) < endsAt(ca);
}

/** The end of a certificate's life in milliseconds since the epoch. */
export function endsAt(certificate: X509Certificate): number {
  return Date.parse(certificate.validTo);
}

/** Whether a certificate's time has not begun by this clock. */
export function isAhead(certificate: X509Certificate, now: Date): boolean {
  return Date.parse(certificate.validFrom) > now.getTime();
}

/** All names of `leaf` and not one more: an IP address too many makes the client refuse the API's certificate. */
function speaksFor(certificate: X509Certificate, leaf: Leaf): boolean {
  const count = certificate.subjectAltName?.split(', ').length;
  return (
    count === leaf.dnsNames.length + leaf.ipAddresses.length &&
    leaf.dnsNames.every((name) => certificate.checkHost(name) !== undefined) &&
    leaf.ipAddresses.every((address) => certificate.checkIP(address) !== undefined)
  );
}
