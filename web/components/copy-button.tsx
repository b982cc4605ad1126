/** Copies a text to the clipboard and confirms it. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { Icon } from './icons.tsx';

const FEEDBACK_MS = 1_600;

interface CopyButtonProps {
  readonly text: string;
  /** What is copied, for screen readers. */
  readonly what: string;
  /** Shows the icon only. */
  readonly iconOnly?: boolean;
}

export function CopyButton({ text, what, iconOnly = false }: CopyButtonProps): JSX.Element {
  const outcome = useSignal<'copied' | 'failed' | null>(null);
  const copy = async (): Promise<void> => {
    outcome.value = (await writeToClipboard(text)) ? 'copied' : 'failed';
    setTimeout(() => (outcome.value = null), FEEDBACK_MS);
  };
  const { value } = outcome;
  return (
    <button type="button" class={iconOnly ? 'button copy icon-only' : 'button copy'} onClick={() => void copy()}>
      <Icon name={value === 'copied' ? 'check' : 'copy'} />
      <span class={iconOnly ? 'visually-hidden' : undefined}>
        {value === 'copied' ? 'Copied' : value === 'failed' ? 'Copy failed' : 'Copy'}
      </span>
      <span class="visually-hidden"> {what}</span>
      <span class="visually-hidden" role="status">
        {value === 'copied' ? `${what} copied` : ''}
      </span>
    </button>
  );
}

/** Falls back to copying a selection, because the Clipboard API exists in secure contexts only. */
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
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only way outside of secure contexts
    const copied = document.execCommand('copy');
    area.remove();
    return copied;
  }
}

/** A shell command with a copy button. */
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
