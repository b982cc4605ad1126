/** Where in the pages one is, by the address bar. */
import { signal } from '@preact/signals';
import { address, parseRoute, type Route } from './route-url.ts';

export const route = signal<Route>(parseRoute(''));

/** Follows the address bar. Called once, by `main.tsx`. */
export function followAddress(): void {
  route.value = parseRoute(location.hash);
  window.addEventListener('hashchange', () => (route.value = parseRoute(location.hash)));
}

export function go(to: Route): void {
  location.hash = address(to);
}
