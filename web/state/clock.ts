/** The time by the proxy's clock. */
import { signal } from '@preact/signals';

let offset = 0;

export const proxyNow = (): number => Date.now() + offset;

/** Updated once a second while the page is visible. */
export const currentSecond = signal(Date.now());

/** Sets the offset from the proxy's clock. */
export function setClock(now: number): void {
  offset = now - Date.now();
  currentSecond.value = proxyNow();
}

const tick = (): void => {
  if (!document.hidden) currentSecond.value = proxyNow();
};
setInterval(tick, 1_000);
document.addEventListener('visibilitychange', tick);
