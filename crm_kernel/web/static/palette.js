// The command palette: Ctrl-K or its button opens a dialog with one field (ARIA combobox) over a list of what can be opened.
// Without JavaScript the search field of the page stays what it is.
(function () {
  "use strict";

  crm.each("dialog[data-palette]", (dialog) => {
    const input = dialog.querySelector("[role=combobox]");
    const list = dialog.querySelector("[role=listbox]");
    let options = [];
    let pending = Promise.resolve();
    let active = -1;
    let timer = null;
    let running = null;

    function open(opener) {
      if (dialog.open) return;
      dialog.showModal();
      dialog.addEventListener("close", () => opener?.focus(), { once: true });
      input.value = "";
      search();
      input.focus();
    }

    function search() {
      clearTimeout(timer);
      timer = null;
      pending = ask();
      return pending;
    }

    async function ask() {
      running?.abort();
      running = new AbortController();
      const url = new URL(dialog.dataset.url, location.href);
      url.searchParams.set("q", input.value.trim());
      try {
        const response = await fetch(url, { signal: running.signal, headers: { Accept: "application/json" }, credentials: "same-origin" });
        if (response.ok) show(await response.json());
      } catch (error) {
        if (error.name !== "AbortError") show([]);
      }
    }

    function node(tag, attributes, ...children) {
      const made = document.createElement(tag);
      for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
      made.append(...children.filter(Boolean));
      return made;
    }

    function row(item) {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("class", "icon");
      svg.setAttribute("aria-hidden", "true");
      const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
      use.setAttribute("href", item.icon);
      svg.append(use);
      const made = node("li", { role: "option", id: `crm-palette-${options.length}`, "aria-selected": "false" },
        svg, node("span", {}, item.label), item.hint && node("small", {}, item.hint));
      made.dataset.url = item.url;
      options.push(made);
      return made;
    }

    function show(groups) {
      options = [];
      list.replaceChildren(...groups.map((group, index) => {
        const title = node("span", { class: "crm-menu-title", id: `crm-palette-group-${index}` }, group.label);
        return node("ul", { role: "group", "aria-labelledby": title.id }, node("li", { role: "presentation" }, title), ...group.items.map(row));
      }));
      crm.announce(options.length ? crm.fill(dialog.dataset.textCount, { count: options.length }) : dialog.dataset.textNone);
      mark(options.length ? 0 : -1);
    }

    function mark(index) {
      active = index;
      options.forEach((option, position) => option.setAttribute("aria-selected", String(position === index)));
      if (index < 0) return input.removeAttribute("aria-activedescendant");
      input.setAttribute("aria-activedescendant", options[index].id);
      options[index].scrollIntoView({ block: "nearest" });
    }

    async function choose(index, event) {
      const url = options[index]?.dataset.url;
      if (!url) return;
      if (event.ctrlKey || event.metaKey) window.open(url, "_blank", "noopener"); else location.assign(url);
    }

    input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 120); });
    input.addEventListener("keydown", async (event) => {
      const moves = { ArrowDown: 1, ArrowUp: -1 };
      if (event.key in moves && options.length) {
        event.preventDefault();
        mark((active + moves[event.key] + options.length) % options.length);
      } else if (event.key === "Enter") {
        event.preventDefault();
        // Who types and presses Enter at once means what was typed, not what the list still shows.
        await (timer ? search() : pending);
        choose(active, event);
      }
    });
    list.addEventListener("click", (event) => choose(options.indexOf(event.target.closest("[role=option]")), event));
    document.addEventListener("click", (event) => {
      const opener = event.target.closest("[data-palette-open]");
      if (opener) open(opener);
    });
    document.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.shiftKey || event.key.toLowerCase() !== "k") return;
      event.preventDefault();
      open(document.activeElement);
    });
  });
})();
