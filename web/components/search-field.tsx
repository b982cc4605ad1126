/** A search field, bound to a signal. */
import type { Signal } from '@preact/signals';
import type { ComponentChildren, JSX, Ref } from 'preact';
import { Icon } from './icons.tsx';

interface SearchFieldProps {
  readonly label: string;
  readonly text: Signal<string>;
  readonly placeholder?: string;
  readonly inputRef?: Ref<HTMLInputElement>;
  readonly children?: ComponentChildren;
}

export const SearchField = (props: SearchFieldProps): JSX.Element => (
  <label class="search">
    <Icon name="search" />
    <span class="visually-hidden">{props.label}</span>
    <input
      ref={props.inputRef ?? null}
      class="field"
      type="search"
      placeholder={props.placeholder ?? 'Search'}
      value={props.text.value}
      onInput={(event) => (props.text.value = event.currentTarget.value)}
    />
    {props.children}
  </label>
);
