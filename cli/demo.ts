/** `claude-db-proxy demo`. */
export function demo(options: { readonly keep: boolean }): Promise<void> {
  return Promise.reject(new Error(`the demo is not written yet (keep: ${options.keep})`));
}
