/** Light or dark: the system's choice until one is picked here; then that one, kept by the browser. */
import { computed, signal } from '@preact/signals';

export type Theme = 'light' | 'dark';

const KEY = 'dbproxy.theme';
const system = window.matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(system.matches);
system.addEventListener('change', (event) => (systemDark.value = event.matches));

/** What was picked; null: as the system has it. `public/theme.js` has put it on the root element already. */
const chosenTheme = signal<Theme | null>((document.documentElement.dataset['theme'] as Theme | undefined) ?? null);

export const theme = computed<Theme>(() => chosenTheme.value ?? (systemDark.value ? 'dark' : 'light'));

export function toggleTheme(): void {
  const next = theme.value === 'dark' ? 'light' : 'dark';
  document.documentElement.dataset['theme'] = next;
  chosenTheme.value = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Storage is switched off: it holds for this page.
  }
}

/** Colours that were asked for, in the theme that they were asked for in. */
const resolved = new Map<string, string>();

/** A colour token as the browser resolves it in this theme, for canvases. */
export function colorOf(token: string): string {
  const key = `${theme.peek()} ${token}`;
  const known = resolved.get(key);
  if (known !== undefined) return known;
  const value = resolve(token);
  resolved.set(key, value);
  return value;
}

function resolve(token: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(--${token})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
