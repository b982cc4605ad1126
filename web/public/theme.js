/* Sets the stored theme before the first paint. A file of its own, since the page's policy forbids inline scripts. */
try {
  const chosen = localStorage.getItem('dbproxy.theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
} catch {
  // Without storage the system's theme applies.
}
