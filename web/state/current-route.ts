/** Where in the pages one is, by the address bar. */
import { signal } from '@preact/signals';
import { routeUrl, parseRoute, type Route } from './route-url.ts';

export const route = signal<Route>(parseRoute(''));

/** Follows the address bar. Called once, by `main.tsx`. */
export function trackLocation(): void {
  route.value = parseRoute(location.hash);
  window.addEventListener('hashchange', () => (route.value = parseRoute(location.hash)));
}

export function navigate(to: Route): void {
  location.hash = routeUrl(to);
}
