// Sets the chosen theme before the page is drawn. This is a classic script, because modules run after the first paint.
(() => {
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch { /* a browser that keeps nothing: the theme of the system */ }
})();
