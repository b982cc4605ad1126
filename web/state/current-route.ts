/** The route of the current location. */
import { signal } from '@preact/signals';
import { routeUrl, parseRoute, type Route } from './route-url.ts';

export const route = signal<Route>(parseRoute(''));

/** Keeps `route` up to date. Called once, by `main.tsx`. */
export function trackLocation(): void {
  route.value = parseRoute(location.hash);
  window.addEventListener('hashchange', () => (route.value = parseRoute(location.hash)));
}

export function navigate(to: Route): void {
  location.hash = routeUrl(to);
}
