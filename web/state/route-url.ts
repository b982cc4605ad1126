/** Addresses of the pages: the part behind `#`, so that every view can be linked to. Pure. */

export type Route =
  | { readonly page: 'conversations'; readonly id: string | null }
  | { readonly page: 'statistics' }
  | { readonly page: 'log'; readonly conversation: string | null }
  | { readonly page: 'inspector'; readonly actor: string | null };

/** Reads `#/c/<id>` and the like; anything unknown is the list. */
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

/** The address of a route. */
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
