// A long page in closed parts: <input data-narrow="id"> leaves those rows of the element that hold every typed word, and opens
// their parts. Rows: [data-narrow-row="words"], parts: details[data-narrow-part], around them: [data-narrow-section].
(function () {
  "use strict";
  const fold = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const LEFT = "[data-narrow-row]:not([hidden])";

  crm.each("input[data-narrow]", (input) => {
    const scope = document.getElementById(input.dataset.narrow);
    const none = input.closest("[role=search]").querySelector("[data-narrow-none]");
    const rows = [...scope.querySelectorAll("[data-narrow-row]")].map((row) => [row, fold(row.dataset.narrowRow)]);
    const parts = [...scope.querySelectorAll("details[data-narrow-part]")];
    let before = null;

    function update() {
      const words = fold(input.value).split(/\s+/).filter(Boolean);
      if (words.length) before ??= parts.map((part) => part.open);
      for (const [row, text] of rows) row.hidden = !words.every((word) => text.includes(word));
      parts.forEach((part, index) => {
        part.hidden = !part.querySelector(LEFT);
        if (before) part.open = words.length ? !part.hidden : before[index];
      });
      if (!words.length) before = null;
      scope.querySelectorAll("[data-narrow-section]").forEach((section) => { section.hidden = !section.querySelector(LEFT); });
      const count = scope.querySelectorAll(LEFT).length;
      none.hidden = count > 0;
      if (words.length) crm.announce(count ? crm.fill(input.dataset.textCount, { count }) : none.textContent);
    }
    input.addEventListener("input", update);
    // Enter in a form would send it.
    input.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
    addEventListener("pageshow", update);
  });
})();
