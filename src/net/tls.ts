/**
 * TLS settings of all connections, set explicitly because the environment can lower Node's defaults
 * (`NODE_TLS_REJECT_UNAUTHORIZED=0`, `--tls-min-v1.0`): version 1.2 at least, and a certificate is always verified.
 */
import type { SecureVersion } from 'node:tls';

const MIN_VERSION: SecureVersion = 'TLSv1.2';

/** For connections of clients. */
export const SERVER_TLS = Object.freeze({ minVersion: MIN_VERSION });

/** For connections to servers. */
export const CLIENT_TLS = Object.freeze({ minVersion: MIN_VERSION, rejectUnauthorized: true });

/** Explains an error's `code` about the other side's TLS to users; undefined for an error that is not about TLS. */
export function tlsHint(code: string): string | undefined {
  switch (code) {
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return 'its certificate is not valid today: check the clock of this machine';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'its certificate is for another name';
    default:
      // A network that inspects TLS has a CA of its own.
      if (/CERT|ISSUER/.test(code)) return 'check NODE_EXTRA_CA_CERTS';
      return /UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION/.test(code) ? 'it does not speak TLS 1.2 or later' : undefined;
  }
}
