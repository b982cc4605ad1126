/** Routes and their URLs, in the fragment (`#/…`). Pure. */

export type Route =
  | { readonly page: 'conversations'; readonly id: string | null }
  | { readonly page: 'statistics' }
  | { readonly page: 'log'; readonly conversation: string | null }
  | { readonly page: 'inspector'; readonly actor: string | null };

/** Parses a fragment; an unknown one is the list of conversations. */
export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?');
  const [page, ...rest] = path.split('/').map(decodePart);
  const id = rest.join('/') || null;
  switch (page) {
    case 'statistics':
    case 'figures': // its name in earlier versions
      return { page: 'statistics' };
    case 'log':
      return { page: 'log', conversation: new URLSearchParams(query).get('conversation') };
    case 'inspector':
      return { page: 'inspector', actor: id };
    case 'c':
      return { page: 'conversations', id };
    default:
      return { page: 'conversations', id: null };
  }
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function routeUrl(route: Route): string {
  switch (route.page) {
    case 'statistics':
      return '#/statistics';
    case 'log':
      return route.conversation === null ? '#/log' : `#/log?conversation=${encodeURIComponent(route.conversation)}`;
    case 'inspector':
      return route.actor === null ? '#/inspector' : `#/inspector/${encodeURIComponent(route.actor)}`;
    case 'conversations':
      return route.id === null ? '#/' : `#/c/${encodeURIComponent(route.id)}`;
  }
}
