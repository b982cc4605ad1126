/** The text search of all lists: an entry matches when it contains every word. Pure. */

export const wordsOf = (search: string): string[] => search.toLowerCase().split(/\s+/).filter(Boolean);

export const hasEveryWord = (text: string, words: readonly string[]): boolean => {
  const lowerCase = text.toLowerCase();
  return words.every((word) => lowerCase.includes(word));
};
