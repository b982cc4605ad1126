/**
 * The name constraints of the CA as DER (RFC 5280, 4.2.1.10). node-forge has no helper for this extension,
 * but takes the bytes of any extension as they are.
 */
import { isIPv4 } from 'node:net';

const SEQUENCE = 0x30;
/** `NameConstraints ::= SEQUENCE { permittedSubtrees [0] GeneralSubtrees OPTIONAL, … }` */
const PERMITTED_SUBTREES = 0xa0;
/** `GeneralName ::= CHOICE { … dNSName [2] IA5String, … iPAddress [7] OCTET STRING, … }` */
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;

/** An extension as node-forge takes it: the value is DER, one character per byte. */
export interface RawExtension {
  readonly id: string;
  readonly critical: boolean;
  readonly value: string;
}

/**
 * The extension that lets a CA speak for `dnsNames` (and what is below them) and for single `ipAddresses` only.
 * A type of name that no subtree mentions is unconstrained, so neither list may be empty: throws TypeError.
 */
export function nameConstraints(names: {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}): RawExtension {
  if (names.dnsNames.length === 0 || names.ipAddresses.length === 0) {
    throw new TypeError('an empty list would permit every name of its type');
  }
  // `GeneralSubtree ::= SEQUENCE { base GeneralName, minimum [0] DEFAULT 0, … }`: DER leaves the default out.
  const subtrees = [
    ...names.dnsNames.map((name) => der(SEQUENCE, der(DNS_NAME, name))),
    ...names.ipAddresses.map((address) => der(SEQUENCE, der(IP_ADDRESS, addressAndMask(address)))),
  ];
  return { id: '2.5.29.30', critical: true, value: der(SEQUENCE, der(PERMITTED_SUBTREES, subtrees.join(''))) };
}

/** Tag, length, content. Lengths of one byte are enough for a handful of names. */
function der(tag: number, content: string): string {
  if (content.length > 127) throw new TypeError('too many names for a short DER length');
  return String.fromCharCode(tag, content.length) + content;
}

/** The address and a mask of ones: that address and no other. */
function addressAndMask(address: string): string {
  const bytes = isIPv4(address) ? address.split('.').map(Number) : bytesOfIPv6(address);
  return String.fromCharCode(...bytes, ...bytes.map(() => 0xff));
}

function bytesOfIPv6(address: string): number[] {
  const [before = [], after = []] = address.split('::').map((part) => part.split(':').filter((group) => group !== ''));
  const zeros = Array<string>(8 - before.length - after.length).fill('0');
  const groups = [...before, ...zeros, ...after].map((group) => parseInt(group, 16));
  return groups.flatMap((group) => [group >> 8, group & 0xff]);
}
