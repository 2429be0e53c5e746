// A reference field: turns <select data-combobox data-url="…"> into a combobox with suggestions (ARIA 1.2 pattern, list
// autocomplete). The select stays the form's value and, without JavaScript, the whole control.
// The address answers ?q=… with JSON [{id, title, subtitle}]; without one, the select's own options are searched.
(function () {
  "use strict";
  let serial = 0;

  function element(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  class Combobox {
    constructor(select) {
      this.select = select;
      this.text = select.dataset;
      this.id = `crm-combobox-${++serial}`;
      this.options = [];
      this.active = -1;
      this.build();
      this.listen();
      this.reset();
    }

    build() {
      const { select } = this;
      const inherited = (name) => select.getAttribute(name);
      this.input = element("input", {
        type: "text", class: "form-control", id: select.id, role: "combobox", autocomplete: "off", spellcheck: "false",
        "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": this.id, placeholder: this.text.placeholder,
        "aria-label": inherited("aria-label"), "aria-describedby": inherited("aria-describedby"),
        "aria-invalid": inherited("aria-invalid"), "aria-required": select.required ? "true" : null,
      });
      this.input.readOnly = select.hasAttribute("readonly");
      this.list = element("ul", { role: "listbox", id: this.id, class: "crm-combobox-list", hidden: "", "aria-label": this.text.placeholder });
      this.clear = element("button", { type: "button", class: "crm-combobox-clear", "aria-label": this.text.textClear, tabindex: "-1" });
      // The label's `for` must lead to the input; the select keeps the name, and so the value. A hidden required
      // select would block the form with a message nobody can see: the server says what is missing.
      select.id = `${select.id}-value`;
      select.required = false;
      select.hidden = true;
      select.after(element("span", { class: "crm-combobox" }, this.input, this.clear, this.list));
    }

    listen() {
      this.input.addEventListener("input", () => { this.forget(); this.timer = setTimeout(() => this.search(), 150); });
      this.input.addEventListener("click", () => this.search());
      this.input.addEventListener("keydown", (event) => this.key(event));
      this.input.addEventListener("blur", () => this.leave());
      // Not click: the input would lose its focus first.
      this.list.addEventListener("mousedown", (event) => {
        event.preventDefault();
        const index = [...this.list.children].indexOf(event.target.closest("[role=option]"));
        if (index >= 0) this.choose(index);
      });
      this.clear.addEventListener("click", () => { this.set("", ""); this.input.focus(); });
    }

    async key(event) {
      const open = !this.list.hidden;
      const moves = { ArrowDown: 1, ArrowUp: -1 };
      if (event.key in moves) {
        event.preventDefault();
        if (open) this.mark((this.active + moves[event.key] + this.options.length) % this.options.length); else this.search();
      } else if (event.key === "Enter" && (open || this.timer)) {
        event.preventDefault();
        // Who types and presses Enter at once means the first match for what was typed, not for what the list still shows.
        if (this.timer) await this.search();
        if (this.active >= 0) this.choose(this.active);
      } else if (event.key === "Escape" && open) {
        event.preventDefault();
        event.stopPropagation();
        this.reset();
      }
    }

    async search() {
      if (this.input.readOnly) return;
      this.forget();
      this.running = new AbortController();
      const query = this.input.value === this.chosen() ? "" : this.input.value.trim();
      try {
        this.show(this.text.url ? await this.ask(query, this.running.signal) : this.own(query), query);
      } catch (error) {
        if (error.name !== "AbortError") this.close();
      }
    }

    async ask(query, signal) {
      const url = new URL(this.text.url, location.href);
      url.searchParams.set("q", query);
      const response = await fetch(url, { signal, headers: { Accept: "application/json" }, credentials: "same-origin" });
      if (!response.ok) throw new Error(response.statusText);
      return response.json();
    }

    own(query) {
      const wanted = query.toLocaleLowerCase();
      return [...this.select.options].filter((option) => option.value && option.text.toLocaleLowerCase().includes(wanted))
        .map((option) => ({ id: option.value, title: option.text }));
    }

    show(found, query) {
      if (document.activeElement !== this.input) return;
      this.options = [...found];
      if (query && this.text.createUrl) this.options.push({ title: crm.fill(this.text.textCreate, { text: query }), create: query });
      this.list.replaceChildren(...this.options.map((option, index) => this.row(option, index)));
      if (!this.options.length) this.list.append(element("li", { class: "crm-combobox-none" }, this.text.textNone));
      this.list.hidden = false;
      this.input.setAttribute("aria-expanded", "true");
      crm.announce(found.length ? crm.fill(this.text.textCount, { count: found.length }) : this.text.textNone);
      this.mark(query && found.length ? 0 : -1);
    }

    row(option, index) {
      const row = element("li", { role: "option", id: `${this.id}-${index}`, "aria-selected": "false" }, element("span", {}, option.title));
      if (option.subtitle) row.append(element("small", {}, option.subtitle));
      return row;
    }

    mark(index) {
      this.active = index;
      [...this.list.children].forEach((row, position) => row.setAttribute("aria-selected", String(position === index)));
      const row = this.options.length && index >= 0 ? this.list.children[index] : null;
      if (row) { this.input.setAttribute("aria-activedescendant", row.id); row.scrollIntoView({ block: "nearest" }); }
      else this.input.removeAttribute("aria-activedescendant");
    }

    async choose(index) {
      const option = this.options[index];
      if (!option.create) return this.set(option.id, option.title);
      this.close();
      const url = new URL(this.text.createUrl, location.href);
      url.searchParams.set("name", option.create);
      const created = await crm.openDialog(url, this.input);
      if (created?.id) this.set(created.id, created.title ?? option.create); else this.reset();
    }

    set(value, title) {
      let option = [...this.select.options].find((candidate) => candidate.value === String(value));
      if (!option) { option = new Option(title, value); this.select.append(option); }
      this.select.value = value;
      this.reset();
      this.select.dispatchEvent(new Event("change", { bubbles: true }));
    }

    chosen() {
      return this.select.value ? this.select.selectedOptions[0].text : "";
    }

    leave() {
      if (!this.input.value.trim() && this.select.value) this.set("", ""); else this.reset();
    }

    forget() {
      clearTimeout(this.timer);
      this.timer = null;
      this.running?.abort();
    }

    reset() {
      this.forget();
      this.input.value = this.chosen();
      this.clear.hidden = !this.select.value || this.input.readOnly;
      this.close();
    }

    close() {
      this.list.hidden = true;
      this.input.setAttribute("aria-expanded", "false");
      this.input.removeAttribute("aria-activedescendant");
      this.active = -1;
    }
  }

  crm.each("select[data-combobox]", (select) => new Combobox(select));
})();
