/** Cuts texts without splitting a surrogate pair, whose halves alone are no characters. Lengths are UTF-16 code units. */

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdbff;

/** The first `length` code units of a text, or one fewer where the cut would split a surrogate pair. */
export function truncate(text: string, length: number): string {
  if (text.length <= length) return text;
  return text.slice(0, isHighSurrogate(text.charCodeAt(length - 1)) ? length - 1 : length);
}

/** A text of at most `length` code units that ends with an ellipsis where something was cut off. */
export const truncateWithEllipsis = (text: string, length: number): string =>
  text.length <= length ? text : `${truncate(text, length - 1)}…`;

/** A text in parts of `length` code units, or one more where the cut would split a surrogate pair. */
export function* chunks(text: string, length: number): Generator<string> {
  for (let start = 0; start < text.length;) {
    const end = start + length + (isHighSurrogate(text.charCodeAt(start + length - 1)) ? 1 : 0);
    yield text.slice(start, end);
    start = end;
  }
}
