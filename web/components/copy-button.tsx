/** Copies a text, and says so. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { Icon } from './icons.tsx';

const FEEDBACK_MS = 1_600;

interface CopyProps {
  readonly text: string;
  /** What is copied, for those who do not see what the button stands beside. */
  readonly what: string;
  /** True where there is room for the sign only. */
  readonly bare?: boolean;
}

export function CopyButton({ text, what, bare = false }: CopyProps): JSX.Element {
  const outcome = useSignal<'copied' | 'failed' | null>(null);
  const copy = async (): Promise<void> => {
    outcome.value = (await writeToClipboard(text)) ? 'copied' : 'failed';
    setTimeout(() => (outcome.value = null), FEEDBACK_MS);
  };
  const { value } = outcome;
  return (
    <button type="button" class={bare ? 'button copy bare' : 'button copy'} onClick={() => void copy()}>
      <Icon name={value === 'copied' ? 'check' : 'copy'} />
      <span class={bare ? 'visually-hidden' : undefined}>
        {value === 'copied' ? 'Copied' : value === 'failed' ? 'Not copied' : 'Copy'}
      </span>
      <span class="visually-hidden"> {what}</span>
      <span class="visually-hidden" role="status">
        {value === 'copied' ? `${what} copied` : ''}
      </span>
    </button>
  );
}

/** The clipboard is there in secure pages only; a selection that is copied works everywhere. */
async function writeToClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.style.position = 'fixed';
    area.style.opacity = '0';
    document.body.append(area);
    area.select();
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the one way that is left here
    const copied = document.execCommand('copy');
    area.remove();
    return copied;
  }
}

/** A command to be typed into a shell. */
export function Command({ text, what }: { readonly text: string; readonly what: string }): JSX.Element {
  return (
    <div class="command">
      <pre tabIndex={0} role="group" aria-label={what}>
        <code>{text}</code>
      </pre>
      <CopyButton text={text} what={what} />
    </div>
  );
}
