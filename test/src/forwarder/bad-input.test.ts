import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { ask, messageRequest, question, RawClient, requestBytes } from './raw-client.ts';
import { quickRig } from './quick-rig.ts';
import { until } from '../redirector/sockets.ts';
import type { ScriptedClient } from '../../../src/demo/scripted-client.ts';
import type { Rig } from '../../support/rig.ts';

const LIMIT = 32 * 1024 * 1024;

interface ErrorJson {
  readonly type: string;
  readonly error: { readonly type: string; readonly message: string };
}
const errorOf = (text: string): ErrorJson => JSON.parse(text) as ErrorJson;

const NO_REQUESTS: readonly (readonly [string, unknown])[] = [
  ['nothing', ''],
  ['no JSON', 'this is not JSON'],
  ['JSON cut off', '{"model":"claude-sonnet-4-6","messages":[{"role":"us'],
  ['bytes', Buffer.from([0, 0xff, 0xfe, 0x80, 0x0a])],
  ['another JSON', '[1,2,{"messages":[]}]'],
  ['null', 'null'],
  ['no messages', { model: 'claude-sonnet-4-6', max_tokens: 5 }],
  ['messages that are none', question({ messages: 'none' })],
  ['messages with holes', question({ messages: [null, 5, 'text', [], { role: 'user' }] })],
  ['content that is none', question({ messages: [{ role: 'user', content: { type: 'text' } }] })],
  ['a role of its own', question({ messages: [{ role: 'moon', content: 'hi' }] })],
  ['a model that is none', question({ model: 5 })],
  ['max_tokens that is none', question({ max_tokens: 'many' })],
  ['deep nesting', `{"messages":${'['.repeat(20_000)}${']'.repeat(20_000)}}`],
  ['prototype games', '{"__proto__":{"messages":1},"constructor":2,"messages":[{"__proto__":null}]}'],
];

/** With and without a checkpoint in the proxy: with one, requests that may be compactions are held. */
for (const held of [false, true]) {
  describe(`bad input${held ? ', while requests may be held' : ''}`, () => {
    let rig: Rig;
    let bystander: ScriptedClient;
    before(async () => {
      rig = await quickRig();
      bystander = rig.client();
      if (!held) return;
      rig.api.respondWith(({ isSummary }) => (isSummary ? undefined : { promptTokens: 150_000 }));
      await rig.client().say('Something to be summarised.');
      await rig.logged('checkpoint.completed');
      rig.api.respondWith(undefined);
    });
    after(() => rig.close());
    /** Nobody else notices. */
    afterEach(async () => {
      expect((await bystander.send([{ role: 'user', content: 'And you?' }], 'main')).status).to.equal(200);
      expect(rig.log.filter(({ level }) => level === 'error')).to.deep.equal([]);
    });

    const classes = held ? ['compaction', null] : ['main', 'auxiliary'];

    for (const requestClass of classes) {
      const label = requestClass ?? 'none';

      it(`class ${label}: what is no message request is answered by the API, on one connection`, async () => {
        const client = await RawClient.open(rig);
        for (const [what, body] of NO_REQUESTS) {
          const count = rig.api.messages.length;
          const request = messageRequest('bad', body, { requestClass });
          client.write(requestBytes(request));
          const answer = await client.answer('POST');
          expect(answer.status, what).to.equal(400);
          const { type, error } = errorOf(answer.text);
          expect([type, error.type], what).to.deep.equal(['error', 'invalid_request_error']);
          expect(error.message, what).not.to.include('claude-db-proxy');
          expect(answer.header('x-double-buffer-phase'), what).to.be.a('string');
          expect(rig.api.messages.length, what).to.equal(count + 1);
          expect(rig.api.messages.at(-1)?.body.equals(Buffer.from(request.body ?? '')), what).to.equal(true);
        }
        await client.close();
      });

      it(`class ${label}: what the API accepts, however odd, is accepted`, async () => {
        const content = [
          { type: 'text', text: 'hi', of_tomorrow: { deep: [1, 2.5e-7, null, '\ud83d\ude00 \u0000'] } },
          { type: 'hologram', payload: 'unknown block' },
        ];
        const body = JSON.stringify(
          question({ messages: [{ role: 'user', content, unknown: true }], future_field: [{}], stream: false }),
        ).replace('"max_tokens"', '\n\t "max_tokens" ');
        const answer = await ask(rig, messageRequest(`odd-${label}`, body, { requestClass }));
        expect(answer.status, answer.text).to.equal(200);
        expect(rig.api.messages.at(-1)?.body.toString()).to.equal(body);
      });

      it(`class ${label}: a client that waits for its go-ahead gets it, and the API is not asked again for one given here`, async () => {
        const client = await RawClient.open(rig);
        const headers = ['x-waits', label, 'EXPECT', '100-Continue'];
        const body = JSON.stringify(question());
        const bytes = requestBytes(messageRequest('waiting', body, { requestClass, headers }));
        client.write(bytes.subarray(0, bytes.length - body.length));
        expect((await client.reader.head())?.line).to.equal('HTTP/1.1 100 Continue');
        client.write(body);
        expect((await client.answer('POST')).status).to.equal(200);
        const [asked] = rig.api.messages.filter(({ headers: sent }) => sent['x-waits'] === label);
        expect(asked?.headers.expect).to.equal(held ? undefined : '100-Continue');
        await client.close();
      });

      it(`class ${label}: a client that leaves in the middle of its upload ends it for the API`, async () => {
        const client = await RawClient.open(rig);
        const bytes = requestBytes(messageRequest('leaving', question(), { requestClass, headers: ['x-left', label] }));
        client.write(bytes.subarray(0, bytes.length - 5));
        const left = () => rig.api.messages.filter(({ headers }) => headers['x-left'] === label);
        await until(() => client.socket.writableLength === 0);
        if (!held) await until(() => rig.api.connections > 0);
        client.leave();
        // Held, it never got there: a whole round trip of somebody else gives it time to.
        if (held) await bystander.aside('Still there?');
        else await until(() => left().some(({ outcome }) => outcome === 'aborted'));
        expect(left().filter(({ outcome }) => outcome !== 'aborted')).to.have.length(0);
      });
    }

    it('a gzipped body, a broken one and one of an unknown coding are passed on as they are', async () => {
      const plain = Buffer.from(JSON.stringify(question()));
      for (const [coding, body] of [
        ['gzip', gzipSync(plain)],
        ['gzip', plain],
        ['zstd', plain],
      ] as const) {
        await ask(rig, messageRequest('coded', body, { requestClass: null, headers: ['content-encoding', coding] }));
        expect(rig.api.messages.at(-1)?.body.equals(body)).to.equal(true);
        expect(rig.api.messages.at(-1)?.headers['content-encoding']).to.equal(coding);
      }
    });

    for (const requestClass of [held ? null : 'main']) {
      it(`class ${requestClass ?? 'none'}: a body over 32 MB gets the API's own 413`, async () => {
        const request = messageRequest('large', Buffer.alloc(LIMIT + 1, ' '), { requestClass });
        const answer = await ask(rig, request);
        expect(answer.status).to.equal(413);
        expect(errorOf(answer.text).error).to.deep.equal({
          type: 'request_too_large',
          message: 'Request exceeds the maximum size',
        });
      });
    }
  });
}
