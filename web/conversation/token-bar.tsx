/** The tokens of checkpoint calls by kind, as a bar and as numbers. */
import type { JSX } from 'preact';
import type { TokenCounts } from '../contract.ts';
import { count, percent, short } from '../format.ts';

const TOKEN_KINDS: readonly { readonly kind: keyof TokenCounts; readonly name: string }[] = [
  { kind: 'cacheRead', name: 'cache read' },
  { kind: 'cacheCreation', name: 'cache write' },
  { kind: 'input', name: 'input' },
  { kind: 'output', name: 'output' },
];

export function TokenBar({ tokens }: { readonly tokens: TokenCounts }): JSX.Element {
  const sum = TOKEN_KINDS.reduce((total, { kind }) => total + tokens[kind], 0);
  return (
    <div class="token-bar">
      <div class="token-track" aria-hidden="true">
        {TOKEN_KINDS.map(({ kind }) => (
          <i key={kind} class={`token-${kind}`} style={{ width: sum > 0 ? `${(100 * tokens[kind]) / sum}%` : '0' }} />
        ))}
      </div>
      <dl>
        {TOKEN_KINDS.map(({ kind, name }) => (
          <div key={kind}>
            <dt>
              <i class={`token-${kind}`} aria-hidden="true" />
              {name}
            </dt>
            <dd class="number" title={`${count(tokens[kind])} tokens`}>
              {short(tokens[kind])} <span class="muted">{sum > 0 ? percent(tokens[kind] / sum) : ''}</span>
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
