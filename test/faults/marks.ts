/**
 * Marks in everything that is said, by which every piece of a text can be told whose it is: no summary may ever hold a
 * mark of another conversation, and the newest one only of its own kind.
 */

/** One mark, taken apart. */
export interface Mark {
  /** Whose: the name of a part. */
  readonly owner: string;
  /** `says`: the user; `answer`: the model; `summary`: a checkpoint; `native`: the API's own compaction. */
  readonly kind: string;
  readonly number: number;
}

const mark = (owner: string, kind: string, number: number): string => `[[${owner}|${kind}|${number}]]`;

export const saysWord = (owner: string, turn: number): string => mark(owner, 'says', turn);
export const answerWord = (owner: string, number: number): string => mark(owner, 'answer', number);
export const summaryWord = (owner: string, number: number): string => mark(owner, 'summary', number);
export const nativeWord = (owner: string, number: number): string => mark(owner, 'native', number);

/** All marks of a text, in order. */
export function marksIn(text: string): Mark[] {
  return [...text.matchAll(/\[\[([^|\]]+)\|(\w+)\|(\d+)\]\]/g)].map(([, owner = '', kind = '', number = '']) => ({
    owner,
    kind,
    number: Number(number),
  }));
}
