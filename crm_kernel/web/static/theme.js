// Runs in the head before the first paint, so that neither the wrong theme nor the page without JavaScript flashes.
// The choice (light, dark, auto) is stored on this device only; "auto" follows the system, also while the page is open.
(function () {
  "use strict";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  function stored() {
    try { return localStorage.getItem("crm-theme") || "auto"; } catch { return "auto"; }
  }
  function store(choice) {
    try { localStorage.setItem("crm-theme", choice); } catch { /* private window: the choice lasts for this page */ }
  }
  function apply(choice) {
    const theme = choice === "auto" ? (system.matches ? "dark" : "light") : choice;
    if (root.dataset.bsTheme === theme) return;
    root.dataset.bsTheme = theme;
    document.dispatchEvent(new CustomEvent("crm:theme", { detail: { theme } }));
  }

  root.classList.replace("no-js", "js");
  apply(stored());
  system.addEventListener("change", () => apply(stored()));

  document.addEventListener("DOMContentLoaded", () => {
    for (const input of document.querySelectorAll("[data-theme-choice] input")) {
      input.checked = input.value === stored();
      input.addEventListener("change", () => { store(input.value); apply(input.value); });
    }
  });
})();
