/* Before anything is drawn: the theme that was chosen here earlier. A file of its own, for the page allows no inline script. */
try {
  const chosen = localStorage.getItem('dbproxy.theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
} catch {
  // Storage is switched off: the system's theme it is.
}
