/** The frame around every page: navigation, connection status, banners. */
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Banners } from './banners.tsx';
import { ConversationsPage } from './conversations/page.tsx';
import { StatisticsPage } from './statistics/page.tsx';
import { InspectorPage } from './inspector/page.tsx';
import { LogPage } from './log/page.tsx';
import { Icon, Logo } from './components/icons.tsx';
import { connection } from './state/connection.ts';
import { routeUrl, type Route } from './state/route-url.ts';
import { route } from './state/current-route.ts';
import { hello, nameOf } from './state/store.ts';
import { theme, toggleTheme } from './state/theme.ts';

const PAGES: readonly { readonly name: string; readonly to: Route }[] = [
  { name: 'Conversations', to: { page: 'conversations', id: null } },
  { name: 'Statistics', to: { page: 'statistics' } },
  { name: 'Log', to: { page: 'log', conversation: null } },
  { name: 'Inspector', to: { page: 'inspector', actor: null } },
];

export function App(): JSX.Element {
  const { value: here } = route;
  const main = useRef<HTMLElement>(null);
  useDocumentTitle();
  useFocusOnPageChange(here.page, main);
  return (
    <div class="frame" data-stale={connection.value.state === 'gone' && here.page !== 'inspector' ? '' : undefined}>
      <header class="top-bar">
        <a
          class="skip"
          href={routeUrl(here)}
          onClick={(event) => {
            event.preventDefault();
            main.current?.focus();
          }}
        >
          Skip to content
        </a>
        <a class="brand" href="#/" aria-label="claude-db-proxy, all conversations">
          <Logo />
          <span>claude-db-proxy</span>
        </a>
        <nav aria-label="Pages">
          {PAGES.map(({ name, to }) => (
            <a key={name} href={routeUrl(to)} aria-current={to.page === here.page ? 'page' : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <div class="status">
          <ConnectionIndicator />
          <ThemeButton />
        </div>
      </header>
      <Banners />
      <main ref={main} tabIndex={-1} class={here.page}>
        <Page />
      </main>
    </div>
  );
}

function Page(): JSX.Element {
  const { value: here } = route;
  switch (here.page) {
    case 'conversations':
      return <ConversationsPage id={here.id} />;
    case 'statistics':
      return <StatisticsPage />;
    case 'log':
      return <LogPage conversation={here.conversation} />;
    case 'inspector':
      return <InspectorPage />;
  }
}

function ConnectionIndicator(): JSX.Element {
  const { state } = connection.value;
  const [tone, text] = state === 'live' ? ['good', 'Live'] : ['warn', state === 'gone' ? 'Reconnecting' : 'Connecting'];
  const version = hello.value?.version;
  return (
    <span class={`connection-status ${tone}`} title={version === undefined ? undefined : `claude-db-proxy ${version}`}>
      <i />
      {text}
    </span>
  );
}

function ThemeButton(): JSX.Element {
  const dark = theme.value === 'dark';
  return (
    <button
      type="button"
      class="button icon-button quiet"
      aria-label={dark ? 'Switch to the light theme' : 'Switch to the dark theme'}
      onClick={toggleTheme}
    >
      <Icon name={dark ? 'sun' : 'moon'} />
    </button>
  );
}

/** Puts the page's name, or the open conversation's, into the window title. */
function useDocumentTitle(): void {
  const { value: here } = route;
  const place =
    here.page === 'conversations'
      ? here.id === null
        ? 'Conversations'
        : nameOf(here.id)
      : (PAGES.find(({ to }) => to.page === here.page)?.name ?? '');
  useEffect(() => {
    document.title = `${place} · claude-db-proxy`;
  }, [place]);
}

/** Scrolls a new page to its top and focuses it, except for the first page. */
function useFocusOnPageChange(page: Route['page'], main: { readonly current: HTMLElement | null }): void {
  const before = useRef(page);
  useEffect(() => {
    if (before.current === page) return;
    before.current = page;
    window.scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [page]);
}
