import { expect } from 'chai';
import type { CallFailureKind } from '../../../machines/conversation-events.ts';
import { performCheckpointCall, type CheckpointCall, type CheckpointResult } from '../../../src/checkpoint/call.ts';
import { checkpointBody } from '../../../src/checkpoint/request.ts';
import { CheckpointError, UpstreamUnreachableError } from '../../../src/errors.ts';
import { startSimulatedApi, type Fault, type SimulatedApi } from '../../../src/simulated-api/index.ts';
import {
  openHttpClient,
  type HttpClient,
  type HttpCallEvents,
  type HttpRequest,
} from '../../../src/upstream/http-client.ts';
import { requestBody } from '../../support/histories.ts';

/** A word that stands in the request and in the API's error messages: nobody may learn it from an error. */
const SECRET = 'SECRET-7f3a';

const HEADERS = [
  ...['x-api-key', 'sk-test', 'anthropic-version', '2023-06-01', 'anthropic-beta', 'a-2026-01-01,b-2026-01-01'],
  ...['content-type', 'application/json', 'User-Agent', 'claude-cli/2.1.330', 'x-claude-code-session-id', 's'],
  ...[
    'Accept-Encoding',
    'gzip, br, zstd',
    'Content-Length',
    '5',
    'content-encoding',
    'gzip',
    'Host',
    'api.anthropic.com',
    'Expect',
    '100-continue',
  ],
];

/** A call for a summary of what somebody said. */
const callFor = (said: string, headers: readonly string[] = HEADERS): CheckpointCall => {
  const body = checkpointBody(requestBody([{ role: 'user', content: said }]), 150_000);
  if (body === null) throw new Error('there is no body');
  return { path: '/v1/messages?beta=true', headers, body };
};

/** The error that a call ends with. */
async function failureOf(call: Promise<CheckpointResult>): Promise<CheckpointError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof CheckpointError) return error;
    throw error;
  }
  throw new Error('the call did not fail');
}

describe('a checkpoint call', () => {
  let api: SimulatedApi;
  let upstream: HttpClient;
  before(async () => {
    api = await startSimulatedApi();
    upstream = openHttpClient({ url: new URL(api.url) });
  });
  afterEach(() => {
    api.reset();
    api.respondWith(undefined);
    api.setSpeed({});
  });
  after(async () => {
    await upstream.close();
    await api.close();
  });

  const perform = (call: CheckpointCall, signal = new AbortController().signal): Promise<CheckpointResult> =>
    performCheckpointCall(upstream, call, signal);

  it('returns the summary, without analysis and tags, and its usage', async () => {
    const { summary, usage, duration } = await perform(callFor('hello'));
    expect(summary)
      .to.match(/^SIMULATED-SUMMARY-\d+\n/)
      .and.not.match(/<|Going through/);
    expect(usage.input).to.be.greaterThan(200);
    expect(usage.output).to.be.greaterThan(300);
    expect(duration).to.be.greaterThan(0).and.below(5_000);
  });

  it('uses path, headers and credentials of the request, except headers about its body', async () => {
    const call = callFor('hello');
    await perform(call);
    const [request] = api.messages;
    expect(request?.url).to.equal('/v1/messages?beta=true');
    expect(request?.body.equals(call.body)).to.equal(true);
    expect(request?.headers).to.include({
      'x-api-key': 'sk-test',
      'anthropic-version': '2023-06-01',
      'anthropic-beta': 'a-2026-01-01,b-2026-01-01',
      'content-type': 'application/json',
      'user-agent': 'claude-cli/2.1.330',
      'x-claude-code-session-id': 's',
      'accept-encoding': 'identity',
      'content-length': String(call.body.length),
      host: new URL(api.url).host,
    });
    expect(request?.headers).not.to.have.any.keys('expect', 'content-encoding');
  });

  it('reads its prompt from the cache: at least 95 % of a long history', async () => {
    const mark = { type: 'ephemeral' };
    const messages = Array.from({ length: 41 }, (_, at) => ({
      role: at % 2 === 0 ? 'user' : 'assistant',
      content: [
        {
          type: 'text',
          text: `message ${at} ${'lorem ipsum '.repeat(150)}`,
          ...(at === 40 && { cache_control: mark }),
        },
      ],
    }));
    const system = [{ type: 'text', text: 'You are Claude Code. '.repeat(500), cache_control: mark }];
    const request = requestBody(messages, {
      system,
      tools: [{ name: 'Bash', description: 'x'.repeat(4_000), input_schema: { type: 'object' } }],
    });
    await perform({ path: '/v1/messages', headers: HEADERS, body: request }).catch(() => undefined);
    const body = checkpointBody(request, 150_000);
    if (body === null) throw new Error('there is no body');
    const { usage } = await perform({ path: '/v1/messages', headers: HEADERS, body });
    const prompt = usage.input + usage.cacheCreation + usage.cacheRead;
    expect(prompt).to.be.greaterThan(20_000);
    expect(usage.cacheRead / prompt).to.be.at.least(0.95);
    expect(usage.cacheCreation).to.equal(0);
  });

  const faults: readonly (readonly [what: string, fault: Fault, failure: CallFailureKind, retryAfterMs?: number])[] = [
    ['429 with retry-after', { kind: 'status', status: 429, retryAfter: 7 }, 'transient', 7_000],
    ['429 without retry-after', { kind: 'status', status: 429 }, 'transient'],
    [
      'a retry-after that is a date',
      { kind: 'status', status: 429, headers: { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' } },
      'transient',
    ],
    [
      'a retry-after of fractions',
      { kind: 'status', status: 529, headers: { 'retry-after': ' 1.5 ' } },
      'transient',
      1_500,
    ],
    ['529', { kind: 'status', status: 529 }, 'transient'],
    ['500', { kind: 'status', status: 500 }, 'transient'],
    ['504', { kind: 'status', status: 504 }, 'transient'],
    ['409', { kind: 'status', status: 409 }, 'transient'],
    ['400', { kind: 'status', status: 400 }, 'rejected'],
    ['401', { kind: 'status', status: 401 }, 'rejected'],
    ['402', { kind: 'status', status: 402 }, 'rejected'],
    ['403', { kind: 'status', status: 403 }, 'rejected'],
    ['404', { kind: 'status', status: 404 }, 'rejected'],
    ['413', { kind: 'status', status: 413 }, 'rejected'],
    ['an error page of a gateway', { kind: 'status', status: 502, body: `<html>${SECRET}</html>` }, 'transient'],
    [
      'an error page of a gateway that refuses',
      { kind: 'status', status: 403, body: `<html>${SECRET}</html>` },
      'rejected',
    ],
    ['a prompt that is too long', { kind: 'prompt_too_long' }, 'too_long'],
    ['an overload in mid-stream', { kind: 'error_event', type: 'overloaded_error', message: SECRET }, 'transient'],
    ['an API error in mid-stream', { kind: 'error_event', type: 'api_error', message: SECRET }, 'transient'],
    ['a limit in mid-stream', { kind: 'error_event', type: 'rate_limit_error', message: SECRET }, 'transient'],
    ['an expired key in mid-stream', { kind: 'error_event', type: 'authentication_error' }, 'rejected'],
    ['a size refused in mid-stream', { kind: 'error_event', type: 'request_too_large' }, 'rejected'],
    ['something new in mid-stream', { kind: 'error_event', type: 'unheard_of_error' }, 'transient'],
    ['a refusal in mid-stream', { kind: 'error_event', type: 'invalid_request_error', message: SECRET }, 'rejected'],
    [
      'a window that is full in mid-stream',
      { kind: 'error_event', type: 'invalid_request_error', message: `prompt is too long: ${SECRET}` },
      'too_long',
    ],
    [
      'a connection that is reset before the answer',
      { kind: 'disconnect', at: 'before_head', how: 'reset' },
      'transient',
    ],
    ['a connection that ends after the head', { kind: 'disconnect', at: 'after_head', how: 'cut' }, 'transient'],
    [
      'a connection that is reset in mid-stream',
      { kind: 'disconnect', at: 'mid_stream', how: 'reset', partial: true },
      'transient',
    ],
    ['a stream that ends early, but properly', { kind: 'disconnect', at: 'mid_stream', how: 'end' }, 'transient'],
    ['a connection that is lost in the upload', { kind: 'disconnect', at: 'upload' }, 'transient'],
    ['bytes that are no HTTP', { kind: 'garbage_http' }, 'transient'],
    ['a tool call', { kind: 'tool_call' }, 'unusable'],
    ['an empty answer', { kind: 'empty_answer' }, 'unusable'],
    ['an answer of white space', { kind: 'answer', answer: { blocks: [{ type: 'text', text: ' \n' }] } }, 'unusable'],
    [
      'an answer of thoughts',
      { kind: 'answer', answer: { blocks: [{ type: 'thinking', thinking: SECRET }] } },
      'unusable',
    ],
    [
      'an analysis and no summary',
      { kind: 'answer', answer: { blocks: [{ type: 'text', text: `<analysis>${SECRET}</analysis>` }] } },
      'unusable',
    ],
    [
      'a summary with a tool call behind it',
      {
        kind: 'answer',
        answer: {
          blocks: [
            { type: 'text', text: SECRET },
            { type: 'tool_use', name: 'Bash', input: {} },
          ],
        },
      },
      'unusable',
    ],
    [
      'a summary that was cut off',
      { kind: 'answer', answer: { blocks: [{ type: 'text', text: SECRET }], stopReason: 'max_tokens' } },
      'unusable',
    ],
    [
      'a summary that did not fit into the window',
      {
        kind: 'answer',
        answer: { blocks: [{ type: 'text', text: SECRET }], stopReason: 'model_context_window_exceeded' },
      },
      'unusable',
    ],
    [
      'a refusal',
      { kind: 'answer', answer: { blocks: [{ type: 'text', text: SECRET }], stopReason: 'refusal' } },
      'unusable',
    ],
    [
      'an answer that is no stream',
      {
        kind: 'answer',
        answer: { raw: { headers: { 'content-type': 'text/html' }, chunks: [`<html>${SECRET}</html>`] } },
      },
      'transient',
    ],
    ['nothing but 200', { kind: 'answer', answer: { raw: { chunks: [] } } }, 'transient'],
    ['a redirect', { kind: 'status', status: 307, headers: { location: '/elsewhere' } }, 'rejected'],
  ];
  for (const [what, fault, failure, retryAfterMs] of faults) {
    it(`ends as '${failure}' with ${what}, and says nothing of what was said`, async () => {
      const told =
        fault.kind === 'status' && fault.body === undefined
          ? { ...fault, message: `messages.1: "${SECRET}" is not allowed` }
          : fault;
      api.fault(told);
      const error = await failureOf(perform(callFor(SECRET)));
      expect(error.failure).to.equal(failure);
      expect(error.retryAfterMs).to.equal(retryAfterMs);
      expect(error.message).not.to.include(SECRET).and.not.include('sk-test');
      expect(error.message).to.match(/\w/);
      expect(api.messages).to.have.length(1);
    });
  }

  for (const [what, fault] of [
    ['unknown events and comments', { kind: 'noise' }],
    ['a stream cut into bytes', { kind: 'chunking', bytes: 7 }],
    ['garbage between the events', { kind: 'garbage_sse' }],
    [
      'a thought before the summary',
      {
        kind: 'answer',
        answer: {
          blocks: [
            { type: 'thinking', thinking: 'hm' },
            { type: 'text', text: '<summary>SIMULATED-SUMMARY-1 größer 🙂</summary>' },
          ],
        },
      },
    ],
    [
      'a summary in two blocks',
      {
        kind: 'answer',
        answer: {
          blocks: [
            { type: 'text', text: '<summary>SIMULATED-SUMMARY-1' },
            { type: 'text', text: 'two</summary>' },
          ],
        },
      },
    ],
    ['a summary without tags', { kind: 'answer', answer: { blocks: [{ type: 'text', text: 'SIMULATED-SUMMARY-1' }] } }],
    [
      'a stop sequence',
      {
        kind: 'answer',
        answer: { blocks: [{ type: 'text', text: 'SIMULATED-SUMMARY-1' }], stopReason: 'stop_sequence' },
      },
    ],
  ] as const) {
    it(`brings its summary with ${what}`, async () => {
      api.fault(fault);
      const { summary } = await perform(callFor('hello'));
      expect(summary)
        .to.match(/^SIMULATED-SUMMARY-\d+/)
        .and.not.match(/<\/?summary>/);
    });
  }

  describe('that is aborted', () => {
    it('before it began, ends at once', async () => {
      const error = await failureOf(perform(callFor('hello'), AbortSignal.abort()));
      expect(error).to.include({ failure: 'transient', message: 'the checkpoint call was aborted' });
    });

    for (const [what, fault] of [
      ['before the head', { kind: 'silence', at: 'before_head' }],
      ['in mid-stream', { kind: 'silence', at: 'mid_stream' }],
    ] as const) {
      it(`${what}, ends at once and lets go of its connection`, async () => {
        api.fault(fault);
        const controller = new AbortController();
        const call = failureOf(perform(callFor('hello'), controller.signal));
        await api.waitFor((request) => request.faults.length > 0 || request.outcome === 'open');
        const began = performance.now();
        controller.abort();
        const error = await call;
        expect(error.failure).to.equal('transient');
        expect(performance.now() - began).to.be.below(2_500);
        expect((await api.waitFor((request) => request.outcome === 'aborted')).aborted).to.equal(true);
      });
    }

    it('after it ended, changes nothing', async () => {
      const controller = new AbortController();
      const { summary } = await perform(callFor('hello'), controller.signal);
      controller.abort();
      expect(summary).to.match(/^SIMULATED-SUMMARY/);
    });
  });

  it('fails as transient when the API cannot be reached', async () => {
    const nobody = openHttpClient({ url: new URL('http://127.0.0.1:1') });
    const error = await failureOf(performCheckpointCall(nobody, callFor(SECRET), new AbortController().signal));
    expect(error.failure).to.equal('transient');
    expect(error.cause).to.be.instanceOf(UpstreamUnreachableError);
    expect(error.message).not.to.include(SECRET);
    await nobody.close();
  });

  describe('over an upstream of our own', () => {
    /** An upstream that keeps what it is sent and the events to raise. */
    function scripted(): {
      upstream: HttpClient;
      sent: HttpRequest[];
      events: HttpCallEvents[];
      aborts: () => number;
    } {
      const sent: HttpRequest[] = [];
      const events: HttpCallEvents[] = [];
      let aborted = 0;
      return {
        sent,
        events,
        aborts: () => aborted,
        upstream: {
          origin: 'http://scripted',
          send(request, raised) {
            sent.push(request);
            events.push(raised);
            return { abort: () => void (aborted += 1), resume: () => undefined };
          },
          close: () => Promise.resolve(),
        },
      };
    }

    const event = (data: object & { type: string }): Buffer =>
      Buffer.from(`event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`);
    const SUMMARY = [
      event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: 'late' } } as never),
      event({ type: 'message_stop' }),
    ];

    it('ignores events after the abort', async () => {
      const { upstream: given, events, aborts } = scripted();
      const controller = new AbortController();
      const call = failureOf(performCheckpointCall(given, callFor('hello'), controller.signal));
      controller.abort();
      expect(aborts()).to.equal(1);
      const [raised] = events;
      raised?.onHead(200, 'OK', []);
      for (const chunk of SUMMARY) raised?.onData(chunk);
      raised?.onEnd([]);
      raised?.onError(new UpstreamUnreachableError('gone'));
      expect((await call).message).to.equal('the checkpoint call was aborted');
    });

    it('removes its listener from the signal when it has ended', async () => {
      const { upstream: given, events, aborts } = scripted();
      const controller = new AbortController();
      const call = performCheckpointCall(given, callFor('hello'), controller.signal);
      const [raised] = events;
      raised?.onHead(200, 'OK', []);
      for (const chunk of SUMMARY) raised?.onData(chunk);
      raised?.onEnd([]);
      controller.abort();
      expect((await call).summary).to.equal('late');
      expect(aborts()).to.equal(0);
    });

    it('accepts a whole message although a stream was requested', async () => {
      const { upstream: given, events } = scripted();
      const call = performCheckpointCall(given, callFor('hello'), new AbortController().signal);
      const [raised] = events;
      const content = [{ type: 'text', text: '<summary>whole</summary>' }];
      const message = {
        type: 'message',
        role: 'assistant',
        content,
        stop_reason: 'end_turn',
        usage: { input_tokens: 7 },
      };
      raised?.onHead(200, 'OK', ['Content-Type', 'application/json']);
      raised?.onData(Buffer.from(JSON.stringify(message)));
      raised?.onEnd([]);
      expect(await call).to.deep.include({ summary: 'whole' });
    });

    it('keeps a bounded part of an endless error', async () => {
      const { upstream: given, events } = scripted();
      const call = failureOf(performCheckpointCall(given, callFor('hello'), new AbortController().signal));
      const [raised] = events;
      raised?.onHead(500, 'x', []);
      for (let at = 0; at < 2_000; at += 1) expect(raised?.onData(Buffer.alloc(65_536))).to.equal(true);
      raised?.onEnd([]);
      expect((await call).failure).to.equal('transient');
    });
  });
});
