// Mentions in a note: <textarea data-mentions="address"> suggests colleagues once an @ and a letter are typed (ARIA 1.2
// combobox pattern on a text area). The address answers ?q=… with JSON [{title, subtitle, insert}].
(function () {
  "use strict";
  let serial = 0;
  // What is typed of a name: from the last @ at the start of a word to the caret, up to three words of one line.
  const typed = /(?:^|[\s(])@([^\s@][^\n@]{0,60})?$/;

  class Mentions {
    constructor(area) {
      this.area = area;
      this.id = `crm-mentions-${++serial}`;
      this.found = [];
      this.active = -1;
      this.list = document.createElement("ul");
      Object.assign(this.list, { id: this.id, className: "crm-combobox-list crm-mentions", hidden: true });
      this.list.setAttribute("role", "listbox");
      this.list.setAttribute("aria-label", area.dataset.textLabel);
      area.after(this.list);
      area.setAttribute("aria-controls", this.id);
      area.setAttribute("aria-autocomplete", "list");
      area.addEventListener("input", () => { clearTimeout(this.timer); this.timer = setTimeout(() => this.search(), 150); });
      area.addEventListener("keydown", (event) => this.key(event));
      area.addEventListener("blur", () => this.close());
      this.list.addEventListener("mousedown", (event) => {
        event.preventDefault();
        const index = [...this.list.children].indexOf(event.target.closest("[role=option]"));
        if (index >= 0) this.choose(index);
      });
    }

    word() {
      const before = this.area.value.slice(0, this.area.selectionStart);
      const match = typed.exec(before);
      return match && match[1] !== undefined && match[1].split(" ").length <= 3 ? match[1] : null;
    }

    async search() {
      const word = this.word();
      if (word === null) return this.close();
      const answer = await crm.request(`${this.area.dataset.mentions}?q=${encodeURIComponent(word)}`);
      if (!answer.ok || this.word() !== word) return;
      this.show(await answer.json());
    }

    show(found) {
      if (!found.length) return this.close();
      this.found = found;
      this.list.replaceChildren(...found.map((user, index) => {
        const option = document.createElement("li");
        option.id = `${this.id}-${index}`;
        option.setAttribute("role", "option");
        const name = document.createElement("span");
        const address = document.createElement("small");
        name.textContent = user.title;
        address.textContent = user.subtitle;
        option.append(name, address);
        return option;
      }));
      this.list.hidden = false;
      this.mark(0);
    }

    mark(index) {
      this.active = index;
      [...this.list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
      this.area.setAttribute("aria-activedescendant", `${this.id}-${index}`);
    }

    key(event) {
      if (this.list.hidden) return;
      const moves = { ArrowDown: 1, ArrowUp: -1 };
      if (event.key in moves) this.mark((this.active + moves[event.key] + this.found.length) % this.found.length);
      else if (event.key === "Enter" || event.key === "Tab") this.choose(this.active);
      else if (event.key === "Escape") { this.close(); event.stopPropagation(); }
      else return;
      event.preventDefault();
    }

    choose(index) {
      const word = this.word() ?? "";
      const end = this.area.selectionStart;
      this.area.setRangeText(`${this.found[index].insert} `, end - word.length, end, "end");
      this.close();
    }

    close() {
      this.list.hidden = true;
      this.found = [];
      this.area.removeAttribute("aria-activedescendant");
    }
  }

  crm.each("textarea[data-mentions]", (area) => new Mentions(area));

  // The live process says only that there is something new; the bell then asks for itself, as it does every 30 seconds.
  crm.each("[data-bell]", (bell) => {
    if (!bell.dataset.bell || !window.EventSource) return;
    const stream = new EventSource(bell.dataset.bell, { withCredentials: true });
    stream.addEventListener("told", () => document.body.dispatchEvent(new Event("crm:told")));
    addEventListener("pagehide", () => stream.close());
  });
})();
