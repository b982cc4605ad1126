/** Parses faults from JSON. Every field is checked, so that a mistake is reported instead of ignored. */
import { type Fault } from './behaviour.ts';
import { type FaultOptions, type RequestFilter } from './faults.ts';
import { isObject } from '../wire/json.ts';

type Check = (value: unknown) => boolean;

const isNumber: Check = (value) => typeof value === 'number' && value >= 0;
const isString: Check = (value) => typeof value === 'string';
const isBoolean: Check = (value) => typeof value === 'boolean';
const isStrings: Check = (value) => isObject(value) && Object.values(value).every(isString);
const oneOf =
  (...values: readonly string[]): Check =>
  (value) =>
    typeof value === 'string' && values.includes(value);

const BREAK_POINTS = ['before_head', 'after_head', 'mid_stream'];

/** The fields of each fault; those in `REQUIRED` must be there. */
const FIELDS: Readonly<Record<Fault['kind'], Readonly<Record<string, Check>>>> = {
  status: {
    status: isNumber,
    type: isString,
    message: isString,
    retryAfter: isNumber,
    headers: isStrings,
    body: isString,
  },
  prompt_too_long: { tokens: isNumber, maximum: isNumber },
  error_event: { afterEvents: isNumber, type: isString, message: isString },
  disconnect: {
    at: oneOf(...BREAK_POINTS, 'upload'),
    afterEvents: isNumber,
    partial: isBoolean,
    how: oneOf('reset', 'cut', 'end'),
  },
  silence: { at: oneOf(...BREAK_POINTS), afterEvents: isNumber, partial: isBoolean },
  garbage_http: { bytes: isString },
  garbage_sse: { afterEvents: isNumber, text: isString },
  empty_answer: {},
  tool_call: { name: isString },
  answer: { answer: isObject },
  slow: { firstByteMs: isNumber, tokensPerSecond: isNumber },
  noise: {},
  chunking: { bytes: isNumber, delayMs: isNumber },
  compression: { encoding: oneOf('gzip', 'br', 'deflate') },
};

const REQUIRED = new Set(['status.status', 'disconnect.at', 'silence.at', 'answer.answer', 'chunking.bytes']);

const FILTER: Readonly<Record<keyof RequestFilter, Check>> = {
  kind: isString,
  path: isString,
  model: isString,
  summary: isBoolean,
  header: isStrings,
};

/** A fault to add, or the problem with the request. */
export type FaultRequest = { readonly fault: Fault; readonly options: FaultOptions } | { readonly problem: string };

/** Reads `{fault, times?, when?}`. */
export function parseFaultRequest(json: unknown): FaultRequest {
  if (!isObject(json)) return { problem: 'expected {"fault": {"kind": …}, "times"?: n, "when"?: {…}}' };
  const { fault, times, when } = json;
  const problem = faultProblem(fault) ?? (when === undefined ? undefined : fieldProblem('when', when, FILTER));
  if (problem !== undefined) return { problem };
  if (times !== undefined && !isNumber(times)) return { problem: 'times: expected a number' };
  return {
    fault: fault as Fault,
    options: {
      ...(typeof times === 'number' && { times }),
      ...(when !== undefined && { when: when as RequestFilter }),
    },
  };
}

function faultProblem(fault: unknown): string | undefined {
  if (!isObject(fault)) return 'fault: expected an object with a kind';
  const { kind, ...fields } = fault;
  if (typeof kind !== 'string' || !isKind(kind)) return `fault.kind: expected one of ${Object.keys(FIELDS).join(', ')}`;
  for (const name of Object.keys(FIELDS[kind])) {
    if (REQUIRED.has(`${kind}.${name}`) && fields[name] === undefined) return `fault.${name}: required for ${kind}`;
  }
  return fieldProblem('fault', fields, FIELDS[kind]);
}

function fieldProblem(what: string, value: unknown, fields: Readonly<Record<string, Check>>): string | undefined {
  if (!isObject(value)) return `${what}: expected an object`;
  for (const [name, field] of Object.entries(value)) {
    const check = fields[name];
    if (check === undefined) return `${what}.${name}: unknown; known: ${Object.keys(fields).join(', ')}`;
    if (!check(field)) return `${what}.${name}: ${JSON.stringify(field)} cannot be used`;
  }
  return undefined;
}

function isKind(kind: string): kind is Fault['kind'] {
  return kind in FIELDS;
}
