// Sets the theme: the one chosen before, or the system's. No module, because it must run before the first paint.
"use strict";

(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  function kept() {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // storage is disabled
    }
  }

  function keep(theme) {
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // storage is disabled: the choice is lost when the page closes
    }
  }

  const chosen = kept();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const isDark = () => (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
    const tell = () => button?.setAttribute("aria-label", isDark() ? "Switch to light" : "Switch to dark");
    button?.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      keep(root.dataset.theme);
      tell();
    });
    dark.addEventListener("change", tell);
    tell();
  });
})();
