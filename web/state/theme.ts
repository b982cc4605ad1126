/** The theme: the system's until the user chooses one, which the browser stores. */
import { computed, signal } from '@preact/signals';

export type Theme = 'light' | 'dark';

const STORAGE_KEY = 'dbproxy.theme';
const darkQuery = window.matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(darkQuery.matches);
darkQuery.addEventListener('change', (event) => (systemDark.value = event.matches));

/** The user's choice, or null. `public/theme.js` has set it on the root element already. */
const chosenTheme = signal<Theme | null>((document.documentElement.dataset['theme'] as Theme | undefined) ?? null);

export const theme = computed<Theme>(() => chosenTheme.value ?? (systemDark.value ? 'dark' : 'light'));

export function toggleTheme(): void {
  const next = theme.value === 'dark' ? 'light' : 'dark';
  document.documentElement.dataset['theme'] = next;
  chosenTheme.value = next;
  try {
    localStorage.setItem(STORAGE_KEY, next);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}

/** Resolved colours by theme and token. */
const resolved = new Map<string, string>();

/** The colour of a token in the current theme, for canvases. */
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
