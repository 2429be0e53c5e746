// Lists: row selection with its bar of actions. Without JavaScript the bar is simply always there.
(function () {
  "use strict";

  crm.each("table[data-select]", (table) => {
    const bar = document.getElementById(table.dataset.select);
    const all = table.querySelector("[data-select-all]");
    const boxes = () => [...table.querySelectorAll('tbody input[type="checkbox"][name="id"]')];
    let last = null;

    function update() {
      const list = boxes();
      const count = list.filter((box) => box.checked).length;
      all.checked = count > 0 && count === list.length;
      all.indeterminate = count > 0 && count < list.length;
      list.forEach((box) => box.closest("tr").classList.toggle("crm-selected", box.checked));
      if (!bar) return;
      const text = bar.querySelector("[data-bulk-count]");
      text.textContent = count === 1 ? text.dataset.one : crm.fill(text.dataset.many, { count });
      bar.toggleAttribute("data-shown", count > 0);
    }
    all.addEventListener("change", () => { boxes().forEach((box) => { box.checked = all.checked; }); update(); });
    table.addEventListener("click", (event) => {
      if (!event.target.matches('tbody input[name="id"]')) return;
      const list = boxes();
      const [from, to] = [list.indexOf(last), list.indexOf(event.target)].sort((a, b) => a - b);
      if (event.shiftKey && last) list.slice(from, to + 1).forEach((box) => { box.checked = event.target.checked; });
      last = event.target;
      update();
    });
    bar?.querySelector("[data-bulk-clear]").addEventListener("click", () => { boxes().forEach((box) => { box.checked = false; }); update(); all.focus(); });
    // The browser restores ticks when the user comes back to the page, after this script has run.
    addEventListener("pageshow", update);
    update();
  });

  // With Shift, a column's header adds to the order instead of replacing it; without a script the menu "Sort" does.
  document.addEventListener("click", (event) => {
    const link = event.shiftKey && event.target.closest("a[data-then-url]");
    if (!link) return;
    event.preventDefault();
    location.assign(link.dataset.thenUrl);
  });

  // A frame that does not scroll needs no stop of its own on the way through the page with the Tab key; one that does fades
  // at its end, so that nobody takes a number cut in half for the whole one.
  crm.each(".crm-table-frame", (frame) => {
    const update = () => {
      const hidden = frame.scrollWidth - frame.clientWidth;
      frame.tabIndex = hidden > 1 ? 0 : -1;
      frame.toggleAttribute("data-more", hidden - Math.abs(frame.scrollLeft) > 1);
    };
    new ResizeObserver(update).observe(frame);
    frame.addEventListener("scroll", update, { passive: true });
  });
})();
