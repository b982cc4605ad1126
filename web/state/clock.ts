/** The time, by the proxy's clock, as signals: what shows an age follows one of them and nothing else is drawn anew. */
import { signal } from '@preact/signals';

let offset = 0;

/** Now, by the proxy's clock. */
export const proxyNow = (): number => Date.now() + offset;

/** Rises once a second while the page can be seen. */
export const currentSecond = signal(Date.now());

/** Takes over the proxy's clock. */
export function setClock(now: number): void {
  offset = now - Date.now();
  currentSecond.value = proxyNow();
}

const tick = (): void => {
  if (!document.hidden) currentSecond.value = proxyNow();
};
setInterval(tick, 1_000);
document.addEventListener('visibilitychange', tick);
