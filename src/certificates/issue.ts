/**
 * Makes certificates: the CA's own and those that it signs. node-forge builds and signs them; the RSA keys come from
 * node:crypto, which makes one in 0.15 s off the main thread where forge takes seconds on it.
 * Loaded only when something is to be made: forge costs a start 35 ms that finds everything in place.
 */
import { createHash, createPublicKey, randomBytes } from 'node:crypto';
import forge from 'node-forge';
import { nameConstraints } from './name-constraints.ts';
import { BACKDATED_MS, CA_BACKDATED_MS, CA_LIFE_MS, LEAF_LIFE_MS, PERMITTED, type Leaf } from './names.ts';

/** A certificate and its private key, both PEM. */
export interface KeyedCertificate {
  readonly certPem: string;
  readonly keyPem: string;
}

/** A CA certificate (PEM) for `keyPem`, valid ten years, able to sign for {@link PERMITTED} names and no others. */
export function issueCa(keyPem: string, now: Date): string {
  const certificate = draft(keyPem, now.getTime() - CA_BACKDATED_MS, now.getTime() + CA_LIFE_MS);
  // The name differs with the key: of two CAs of one name a trust store may try only the first.
  const fingerprint = createHash('sha256').update(createPublicKey(keyPem).export({ type: 'spki', format: 'der' }));
  const name = [{ shortName: 'CN', value: `claude-db-proxy local CA ${fingerprint.digest('hex').slice(0, 8)}` }];
  certificate.setSubject(name);
  certificate.setIssuer(name);
  certificate.setExtensions([
    { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
    { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
    // For whoever puts this CA into the system's trust store: no code, mail or client certificate below it counts.
    { name: 'extKeyUsage', serverAuth: true },
    { name: 'subjectKeyIdentifier' },
    nameConstraints(PERMITTED),
  ]);
  return signed(certificate, forge.pki.privateKeyFromPem(keyPem));
}

/** A server certificate (PEM) for the names of `leaf` and the key `keyPem`; it ends no later than the CA does. */
export function issueLeaf(ca: KeyedCertificate, leaf: Leaf, keyPem: string, now: Date): string {
  const issuer = forge.pki.certificateFromPem(ca.certPem);
  const begin = now.getTime() - BACKDATED_MS;
  const end = Math.min(begin + LEAF_LIFE_MS, issuer.validity.notAfter.getTime());
  const certificate = draft(keyPem, begin, end);
  certificate.setSubject(leaf.dnsNames.slice(0, 1).map((value) => ({ shortName: 'CN', value })));
  certificate.setIssuer(issuer.subject.attributes);
  certificate.setExtensions([
    { name: 'basicConstraints', critical: true, cA: false },
    { name: 'keyUsage', critical: true, digitalSignature: true, keyEncipherment: true },
    { name: 'extKeyUsage', serverAuth: true },
    {
      name: 'subjectAltName',
      altNames: [
        ...leaf.dnsNames.map((value) => ({ type: 2, value })),
        ...leaf.ipAddresses.map((ip) => ({ type: 7, ip })),
      ],
    },
    { name: 'subjectKeyIdentifier' },
    { name: 'authorityKeyIdentifier', keyIdentifier: issuer.generateSubjectKeyIdentifier().getBytes() },
  ]);
  return signed(certificate, forge.pki.privateKeyFromPem(ca.keyPem));
}

function draft(keyPem: string, beginMs: number, endMs: number): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  const { n, e } = forge.pki.privateKeyFromPem(keyPem);
  certificate.publicKey = forge.pki.setRsaPublicKey(n, e);
  certificate.serialNumber = serialNumber();
  certificate.validity.notBefore = new Date(beginMs);
  certificate.validity.notAfter = new Date(endMs);
  return certificate;
}

/** Sixteen random bytes as hex; the first is 40..7f, so the number is positive and DER adds and drops nothing. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x3f) | 0x40, 0);
  return bytes.toString('hex');
}

function signed(certificate: forge.pki.Certificate, caKey: forge.pki.rsa.PrivateKey): string {
  certificate.sign(caKey, forge.md.sha256.create());
  return forge.pki.certificateToPem(certificate).replaceAll('\r\n', '\n');
}
