/** The names this proxy holds certificates for, and how long those live. Constants only. */

/** One certificate of ours: who it speaks for and in which files of the directory it lives. */
export interface Leaf {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/** The API's own name, as Claude Code asks for it. */
export const API_NAME = 'api.anthropic.com';

/** This machine, by name. */
export const LOCAL_NAME = 'localhost';

const LOOPBACK_ADDRESSES = ['127.0.0.1', '::1'];

/**
 * The server certificates. Those that the client sees are DNS only: BoringSSL, on which Claude Code's Bun is built, answers
 * UNSUPPORTED_CONSTRAINT_TYPE to a certificate with an IP address below a CA that constrains IP addresses, even when it
 * connects by name (wire.md, How Claude Code reaches the API; observed on 2.1.330). Hence two for this machine:
 * `localhost` for clients that name it, `loopback` for those that come by address and so send no SNI (RFC 6066, 3);
 * Node, curl and openssl take that one, Claude Code does not.
 */
export const LEAVES = {
  api: { certificateFile: 'api.pem', keyFile: 'api-key.pem', dnsNames: [API_NAME], ipAddresses: [] },
  localhost: {
    certificateFile: 'localhost.pem',
    keyFile: 'localhost-key.pem',
    dnsNames: [LOCAL_NAME],
    ipAddresses: [],
  },
  loopback: {
    certificateFile: 'loopback.pem',
    keyFile: 'loopback-key.pem',
    dnsNames: [LOCAL_NAME],
    ipAddresses: LOOPBACK_ADDRESSES,
  },
} as const satisfies Record<string, Leaf>;

export const CA_FILE = 'ca.pem';
export const CA_KEY_FILE = 'ca-key.pem';

/** All that the CA may ever speak for: with its key stolen, nothing else can be forged. */
export const PERMITTED = { dnsNames: [API_NAME, LOCAL_NAME], ipAddresses: LOOPBACK_ADDRESSES };

export const DAY_MS = 24 * 60 * 60 * 1000;

/** Certificates count from a day ago: the clock of a container or of a machine that slept may lag behind. */
export const BACKDATED_MS = DAY_MS;

/** The CA from a year ago: replaced it would have to be trusted anew, and a clock that lags is no reason for that. */
export const CA_BACKDATED_MS = 365 * DAY_MS;

export const CA_LIFE_MS = 3653 * DAY_MS; // ten years

/** Apple's and Chromium's limit is 398 days, the backdated day included. */
export const LEAF_LIFE_MS = 397 * DAY_MS;

/** With less than this left, a certificate is renewed. */
export const RENEW_BEFORE_MS = 30 * DAY_MS;
