/**
 * The kinds of values that settings have: what is allowed, with its unit, and how the text is parsed. `parse` returns
 * undefined for a value that cannot be used. Pure. Written by hand: a schema library takes longer to load than the whole
 * launcher, which reads the settings too.
 */
import { isIPv6 } from 'node:net';
import { isAbsolute, join, resolve } from 'node:path';
import { milliseconds, tokens, type Milliseconds, type Tokens } from '../../machines/units.ts';
import { isObject } from '../wire/json.ts';

export interface Kind<T> {
  /** What a value may be and its unit, as the end of an error message. */
  readonly allowed: string;
  /** @param home the user's home directory */
  readonly parse: (value: string, home: string) => T | undefined;
}

const SIZES: Readonly<Record<string, number>> = { '': 1, k: 1_024, m: 1_024 ** 2, g: 1_024 ** 3 };
const TIMES: Readonly<Record<string, number>> = { ms: 1, '': 1_000, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** The longest delay of a Node timer: 2³¹ − 1 ms. */
const LONGEST_TIMER = 2 ** 31 - 1;

const lookUp = <T>(table: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined;

const decimal = (value: string): number | undefined => (/^\d*\.?\d+$/.test(value) ? Number(value) : undefined);

/** One of the words of a table, in any case. */
export const word = <T>(allowed: string, table: Readonly<Record<string, T>>): Kind<T> => ({
  allowed,
  parse: (value) => lookUp(table, value.toLowerCase()),
});

export const SWITCH = word('true or false', {
  ...{ true: true, 1: true, yes: true, on: true },
  ...{ false: false, 0: false, no: false, off: false },
});

export const SHARE: Kind<number> = {
  allowed: 'a number between 0 and 1, such as 0.70',
  parse(value) {
    const share = decimal(value);
    return share !== undefined && share > 0 && share < 1 ? share : undefined;
  },
};

export const PORT: Kind<number> = {
  allowed: 'a port from 0 to 65535 (0: any free one)',
  parse: (value) => (/^\d{1,5}$/.test(value) && Number(value) <= 65_535 ? Number(value) : undefined),
};

/** A whole number from 1 to `most`. */
export const count = (most: number, allowed = `a whole number from 1 to ${most}`): Kind<number> => ({
  allowed,
  parse(value) {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : 0;
    return number > 0 && number <= most ? number : undefined;
  },
});

/** Bytes, 0 included. */
export const SIZE: Kind<number> = {
  allowed: 'a number of bytes, such as 268435456 or 256M',
  parse(value) {
    const [, number = '', unit = ''] = /^(\d{1,15})\s*([kmg]?)(?:i?b)?$/i.exec(value) ?? [];
    const factor = lookUp(SIZES, unit.toLowerCase());
    const bytes = number === '' || factor === undefined ? undefined : Number(number) * factor;
    return bytes !== undefined && Number.isSafeInteger(bytes) ? bytes : undefined;
  },
};

/** @param examples ends "a time such as …" */
export const duration = (examples: string): Kind<Milliseconds> => ({
  allowed: `a time such as ${examples}`,
  parse(value) {
    const [, number = '', unit = ''] = /^(\d*\.?\d+)\s*(ms|s|m|h|d)?$/i.exec(value) ?? [];
    const amount = decimal(number);
    const factor = lookUp(TIMES, unit.toLowerCase());
    if (amount === undefined || factor === undefined) return undefined;
    const total = Math.round(amount * factor);
    return total > 0 && total <= LONGEST_TIMER ? milliseconds(total) : undefined;
  },
});

export const HOST: Kind<string> = {
  allowed: 'an address or host name to listen on',
  parse: (value) => (/^[\w.:-]+$/.test(value) ? value : undefined),
};

/** Without wildcards: with one, any web page could point its name at this machine and read the proxy's pages. */
export const HOST_LIST: Kind<readonly string[]> = {
  allowed: 'host names or addresses, separated by commas, without ports and wildcards',
  parse(value) {
    const hosts = value === '' ? [] : value.split(',').map((host) => host.trim());
    const isHost = (host: string): boolean =>
      /^[\w-]+(\.[\w-]+)*$/.test(host) || isIPv6(host.replace(/^\[(.*)\]$/, '$1'));
    return hosts.every(isHost) ? Object.freeze(hosts) : undefined;
  },
};

export const DIRECTORY: Kind<string> = {
  allowed: 'a directory',
  parse(value, home) {
    const expanded = value === '~' || value.startsWith('~/') ? join(home, value.slice(1)) : value;
    return isAbsolute(expanded) ? expanded : resolve(expanded);
  },
};

export const HTTP_URL: Kind<URL> = {
  allowed: 'an http or https URL without user, query or fragment',
  parse(value) {
    const url = URL.canParse(value) ? new URL(value) : undefined;
    if (url?.protocol !== 'https:' && url?.protocol !== 'http:') return undefined;
    return url.username === '' && url.password === '' && url.search === '' && url.hash === '' ? url : undefined;
  },
};

/** Null for an empty value. */
export const WEB_SOCKET_URL: Kind<URL | null> = {
  allowed: 'a ws or wss URL',
  parse(value) {
    if (value === '') return null;
    const url = URL.canParse(value) ? new URL(value) : undefined;
    return url?.protocol === 'ws:' || url?.protocol === 'wss:' ? url : undefined;
  },
};

/** Model name, or its beginning, to context window. */
export const MODEL_WINDOWS: Kind<Readonly<Record<string, Tokens>>> = {
  allowed: 'a JSON object of model names and tokens, such as {"claude-x": 200000}',
  parse(value) {
    try {
      const windows: unknown = JSON.parse(value);
      if (!isObject(windows)) return undefined;
      const entries = Object.entries(windows).map(([model, window]) => {
        if (model === '' || typeof window !== 'number' || !Number.isSafeInteger(window) || window <= 0)
          throw new Error();
        return [model, tokens(window)] as const;
      });
      return Object.freeze(Object.fromEntries(entries));
    } catch {
      return undefined;
    }
  },
};
