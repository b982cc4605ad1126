/**
 * The judge of one answer: it is what the API sent, byte for byte, or a clear error of the proxy's own, or a checkpoint
 * of the very conversation that asked. Anything else is a failure of the suite.
 */
import { expect } from 'chai';
import { valuesOf, type Pairs } from '../src/forwarder/http-bytes.ts';
import { figures } from './figures.ts';
import { REQUEST_HEADER, type Reply } from './client.ts';
import { readAnswer, type NotedAnswer } from './http-answer.ts';
import { marksIn } from './marks.ts';
import type { Passage, Tap } from './tap.ts';

/** Headers of one connection, and those that say how a body is framed on it. */
const HOP_BY_HOP = /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|x-double-buffer-.*)$/i;

const endToEnd = (headers: Pairs): string[] =>
  headers.filter((_, at) => !HOP_BY_HOP.test(headers[at - (at % 2)] ?? ''));

/** What a request led to, in one word: for the figures and for the scenario to go on from. */
export type Verdict = 'as the API' | 'served' | 'our error' | 'closed';

/** The passage of a client's request; a request is never sent on twice. */
export function passageOf(tap: Tap, id: string): Passage | undefined {
  const found = tap.passages.filter((passage) => passage.header(REQUEST_HEADER) === id && !passage.isCheckpoint);
  expect(found.length, `times that request ${id} was sent to the API`).to.be.at.most(1);
  return found[0];
}

/** Judges `reply`, given to the part called `owner`. @throws AssertionError */
export function judge(reply: Reply, tap: Tap, owner: string): Verdict {
  const passage = passageOf(tap, reply.id);
  if (reply.served) {
    expect(passage, `${reply.id} was answered here and sent to the API as well`).to.equal(undefined);
    judgeServed(reply, owner);
    figures.served += 1;
    return 'served';
  }
  const sent = passage === undefined ? null : readAnswer(passage.answer, passage.ended === 'fin');
  if (passage !== undefined && sent !== null) return judgeRelayed(reply, sent, passage);
  if (reply.gaveUp !== 'no') {
    expect(reply.head, 'an answer though the API had sent none').to.equal(null);
    return 'closed';
  }
  return judgeOwnError(reply);
}

/** From a checkpoint of this very conversation: its own marks and no other's, and one summary. */
function judgeServed(reply: Reply, owner: string): void {
  expect(reply.status).to.equal(200);
  expect(reply.class, 'only a compaction is answered here').to.equal('compaction');
  if (reply.gaveUp === 'no') expect(reply.good, 'a served answer is complete').to.equal(true);
  const marks = marksIn(reply.text);
  const foreign = marks.filter((mark) => mark.owner !== owner);
  expect(foreign, `words of somebody else in what was served to ${owner}`).to.deep.equal([]);
}

function judgeRelayed(reply: Reply, sent: NotedAnswer, passage: Passage): Verdict {
  const { head } = reply;
  if (head === null) {
    // Reset before the proxy could have read the head.
    expect(reply.gaveUp !== 'no' || passage.ended === 'reset', 'no answer though the API had sent one').to.equal(true);
    return 'closed';
  }
  // A connection that is reset may lose what was sent before; then a clear error is as good.
  if (passage.ended === 'reset' && reply.status === 502) return judgeOwnError(reply);
  expect(reply.status, 'status').to.equal(sent.status);
  expect(endToEnd(head.headers), 'headers').to.deep.equal(endToEnd(sent.headers));
  const common = sent.body.subarray(0, reply.body.length);
  expect(reply.body.equals(common), `the body differs from the API's (${difference(reply.body, sent.body)})`).to.equal(
    true,
  );
  // What a reset or the client itself cut off may be missing; nothing else may, and nothing is kept back in a silence.
  const mayBeShort = reply.gaveUp === 'leaving' || passage.ended === 'reset';
  if (!mayBeShort) expect(reply.body.length, "bytes of the API's body").to.equal(sent.body.length);
  if (reply.gaveUp === 'no') expect(reply.whole, "complete as the API's answer").to.equal(sent.whole);
  return 'as the API';
}

/** An error in the API's shape that says whose it is, or the end of the connection. */
function judgeOwnError(reply: Reply): Verdict {
  if (reply.head === null) {
    expect(reply.stray.toString('latin1'), 'bytes that are no answer').to.equal('');
    return 'closed';
  }
  expect(reply.status, 'status of an error of our own').to.be.oneOf([500, 502, 503, 504]);
  expect(reply.whole, 'an error of our own is complete').to.equal(true);
  expect(valuesOf(reply.head.headers, 'content-type')).to.deep.equal(['application/json']);
  const json = JSON.parse(reply.body.toString('utf8')) as {
    type?: unknown;
    error?: { type?: unknown; message?: unknown };
  };
  expect(json.type).to.equal('error');
  expect(json.error?.type).to.equal('api_error');
  expect(json.error?.message).to.match(/^claude-db-proxy: \S/);
  return 'our error';
}

function difference(got: Buffer, sent: Buffer): string {
  let at = 0;
  while (at < got.length && got[at] === sent[at]) at += 1;
  const near = (bytes: Buffer): string => JSON.stringify(bytes.toString('utf8', Math.max(0, at - 20), at + 20));
  return `at byte ${at} of ${sent.length}: ${near(got)} in place of ${near(sent)}`;
}
