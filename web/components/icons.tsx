/** The icons, drawn in the colour of the surrounding text. Each has a text beside it, or a label. */
import type { JSX } from 'preact';
import type { Phase } from '../contract.ts';

const PATHS = {
  sun: 'M8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.5 1.5M11.5 11.5 13 13M13 3l-1.5 1.5M4.5 11.5 3 13M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6Z',
  moon: 'M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7Z',
  copy: 'M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3',
  check: 'm3 8.5 3.5 3.5L13 4.5',
  back: 'M10 3 5 8l5 5',
  forward: 'm6 3 5 5-5 5',
  pause: 'M5.5 3v10M10.5 3v10',
  play: 'M5 3v10l8-5z',
  plus: 'M8 3v10M3 8h10',
  minus: 'M3 8h10',
  fit: 'M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10',
  download: 'M8 2v8M4.5 7 8 10.5 11.5 7M2.5 13.5h11',
  open: 'M2 13V3.5h4l1.5 2H14V13z',
  search: 'M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9ZM10.5 10.5 14 14',
  reset: 'M3 8a5 5 0 1 0 1.7-3.8M3 2.5v3h3',
  close: 'm4 4 8 8M12 4l-8 8',
  follow: 'M8 4.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7ZM8 1.5v3M8 11.5v3M1.5 8h3M11.5 8h3',
  first: 'M4 3v10M12 3 7 8l5 5',
} as const;

type IconName = keyof typeof PATHS;

export function Icon({ name }: { readonly name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path
        d={PATHS[name]}
        fill="none"
        stroke="currentColor"
        stroke-width="1.5"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  );
}

interface IconButtonProps {
  readonly icon: IconName;
  readonly name: string;
  readonly disabled?: boolean;
  readonly onClick: () => void;
}

export const IconButton = ({ icon, name, disabled = false, onClick }: IconButtonProps): JSX.Element => (
  <button type="button" class="button icon-button" aria-label={name} title={name} disabled={disabled} onClick={onClick}>
    <Icon name={icon} />
  </button>
);

const PHASE_SHAPE: Readonly<Record<Phase, JSX.Element>> = {
  IDLE: <circle cx="8" cy="8" r="5.25" fill="none" stroke="currentColor" stroke-width="1.5" />,
  CHECKPOINTING: (
    <>
      <circle cx="8" cy="8" r="5.25" fill="none" stroke="currentColor" stroke-width="1.5" />
      <path d="M8 8V4a4 4 0 0 1 4 4z" fill="currentColor" />
    </>
  ),
  WAL_ACTIVE: (
    <>
      <circle cx="8" cy="8" r="5.25" fill="none" stroke="currentColor" stroke-width="1.5" />
      <path d="M8 4a4 4 0 0 1 0 8z" fill="currentColor" />
    </>
  ),
  SWAP_READY: <circle cx="8" cy="8" r="6" fill="currentColor" />,
};

export function PhaseIcon({ phase }: { readonly phase: Phase }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
      {PHASE_SHAPE[phase]}
    </svg>
  );
}

export function Logo(): JSX.Element {
  return (
    <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true" class="logo">
      <rect class="logo-back" x="3" y="3" width="18" height="18" rx="5" />
      <rect class="logo-front" x="11" y="11" width="18" height="18" rx="5" stroke-width="2" />
    </svg>
  );
}
