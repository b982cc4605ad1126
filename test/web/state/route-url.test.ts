import { expect } from 'chai';
import fc from 'fast-check';
import { routeUrl, parseRoute, type Route } from '../../../web/state/route-url.ts';

const name = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' });
const route: fc.Arbitrary<Route> = fc.oneof(
  fc.constant<Route>({ page: 'conversations', id: null }),
  fc.constant<Route>({ page: 'statistics' }),
  name.map((id): Route => ({ page: 'conversations', id })),
  fc.option(name).map((conversation): Route => ({ page: 'log', conversation })),
  fc.option(name).map((actor): Route => ({ page: 'inspector', actor })),
);

describe('web/state/route-url', () => {
  it('parses every URL that it makes, with any characters in an id', () => {
    fc.assert(
      fc.property(route, (it) => {
        expect(parseRoute(routeUrl(it))).to.deep.equal(it);
      }),
    );
  });

  it('takes an unknown URL for the list and throws on none', () => {
    for (const hash of ['', '#', '#/', '#/nonsense', '#/c', '#/c/']) {
      expect(parseRoute(hash)).to.deep.equal({ page: 'conversations', id: null });
    }
    fc.assert(fc.property(fc.string(), (hash) => void parseRoute(hash)));
  });
});
