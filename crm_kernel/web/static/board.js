// The board: cards move between columns by mouse, touch, keyboard and menu. All four end in `move`, which asks the server
// and takes the card back if it refuses. What is sent and what may come back stands in templates/kernel/components/board.html.
(function () {
  "use strict";
  const source = document.currentScript.dataset.library;

  class Board {
    constructor(root) {
      this.root = root;
      this.text = root.dataset;
      this.ordered = root.hasAttribute("data-ordered");
      this.columns = [...root.querySelectorAll("[data-column]")];
      this.lists = this.columns.map((column) => column.querySelector("[data-cards]"));
      this.lifted = null;
      root.addEventListener("keydown", (event) => this.key(event));
      root.addEventListener("focusout", (event) => { if (this.lifted && event.target === this.lifted.card && !this.moving) this.cancel(); });
      root.addEventListener("click", (event) => this.click(event));
      root.addEventListener("htmx:beforeSwap", (event) => { this.wanted = event.target.contains(document.activeElement); });
      root.addEventListener("htmx:load", (event) => this.loaded(event.target));
      this.drag();
    }

    // --- where a card is ---
    slot(card) { return card.closest("li"); }
    slots(list) { return [...list.querySelectorAll(":scope > .crm-board-slot")]; }
    column(node) { return node.closest("[data-column]"); }
    place(card) {
      const slot = this.slot(card);
      return { list: slot.parentElement, before: slot.nextElementSibling };
    }
    put(card, { list, before }) {
      this.moving = true;
      list.insertBefore(this.slot(card), before?.parentElement === list ? before : list.querySelector(".crm-board-more"));
      this.moving = false;
    }

    // --- the move itself ---
    async move(card, from) {
      const column = this.column(card);
      const changed = column !== this.column(from.list);
      if (!changed && !this.ordered) return this.put(card, from);
      this.count(this.column(from.list), -1);
      this.count(column, +1);
      card.toggleAttribute("data-saving", true);
      const result = await this.send(card, column);
      card.toggleAttribute("data-saving", false);
      if (result) return this.settle(card, column, result);
      const focused = card.contains(document.activeElement);
      this.count(column, -1);
      this.count(this.column(from.list), +1);
      this.put(card, from);
      if (focused) card.focus();
      crm.announce(crm.fill(this.text.textCancelled, this.names(card)));
    }

    async send(card, column) {
      if (column.hasAttribute("data-asks") && card.dataset.dialogUrl) return this.ask(card, column);
      const values = { [this.text.field]: column.dataset.column };
      if (this.ordered) values.after = this.slot(card).previousElementSibling?.querySelector("[data-card]")?.dataset.card ?? null;
      const headers = card.dataset.version ? { "If-Match": `"${card.dataset.version}"` } : {};
      const response = await crm.request(card.dataset.moveUrl, { method: this.text.method, json: values, headers }).catch(() => null);
      const answer = await response?.json().catch(() => ({})) ?? {};
      if (response?.ok) return { ...answer, version: answer.version ?? response.headers.get("ETag")?.replace(/^W\/|"/g, "") };
      if (response?.status === 422 && answer.errors && card.dataset.dialogUrl) return this.ask(card, column);
      const conflict = [409, 412].includes(response?.status) && this.text.textConflict;
      crm.toast(answer.detail || conflict || document.body.dataset.textFailed, "error");
      return null;
    }

    ask(card, column) {
      const url = new URL(card.dataset.dialogUrl, location.href);
      url.searchParams.set(this.text.field, column.dataset.column);
      return crm.openDialog(url, card);
    }

    settle(card, column, result) {
      if (result.version) card.dataset.version = result.version;
      for (const state of result.columns ?? []) this.total(state);
      crm.announce(crm.fill(this.text.textDropped, this.names(card)));
      if (result.message) crm.toast(result.message, "success");
      card.dispatchEvent(new CustomEvent("crm:moved", { bubbles: true, detail: { card: card.dataset.card, column: column.dataset.column, result } }));
    }

    count(column, step) {
      const place = column.querySelector("[data-column-count]");
      // "10k+" stays what it is.
      if (/^\d+$/.test(place.textContent)) place.textContent = Number(place.textContent) + step;
    }

    total({ id, count, total_text: text }) {
      const column = this.columns.find((candidate) => candidate.dataset.column === String(id));
      const place = column?.querySelector("[data-column-total]");
      if (column && count !== undefined) column.querySelector("[data-column-count]").textContent = count;
      if (place && text !== undefined) place.textContent = text;
    }

    names(card) {
      return { card: card.getAttribute("aria-label"), column: this.column(card).dataset.label };
    }

    // --- more cards of a column ---
    loaded(slot) {
      const card = slot.querySelector("[data-card]");
      if (!card) return;
      // A card that was moved here since the page was loaded is there already.
      if (this.root.querySelectorAll(`[data-card="${card.dataset.card}"]`).length > 1) return slot.remove();
      if (this.wanted) card.focus();
      this.wanted = false;
    }

    // --- mouse and touch ---
    async drag() {
      await crm.library(source);
      for (const list of this.lists) {
        Sortable.create(list, {
          group: "board", draggable: ".crm-board-slot:has([data-move-url]:not([data-saving]))", sort: this.ordered, animation: 120,
          delay: 180, delayOnTouchOnly: true, filter: "button", preventOnFilter: false, ghostClass: "crm-board-ghost",
          onStart: (event) => { this.from = { list: event.from, before: event.item.nextElementSibling }; },
          onEnd: (event) => { if (event.from !== event.to || event.oldIndex !== event.newIndex) this.move(event.item.querySelector("[data-card]"), this.from); },
        });
      }
    }

    // --- keyboard ---
    key(event) {
      const card = event.target;
      if (!card.matches("[data-card]")) return;
      if (this.lifted) return this.keyLifted(event, card);
      if (event.key.startsWith("Arrow")) { event.preventDefault(); return this.walk(card, event.key); }
      if ((event.key === " " || event.key === "Enter") && card.dataset.moveUrl && !card.hasAttribute("data-saving")) {
        event.preventDefault();
        this.lifted = { card, from: this.place(card) };
        card.toggleAttribute("data-lifted", true);
        crm.announce(crm.fill(this.text.textPicked, this.names(card)));
      }
    }

    keyLifted(event, card) {
      const known = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", " ", "Enter", "Escape"];
      if (!known.includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Escape") return this.cancel();
      if (event.key === " " || event.key === "Enter") {
        const { from } = this.lifted;
        this.drop(card);
        return this.move(card, from);
      }
      this.carry(card, event.key);
    }

    carry(card, key) {
      const list = this.slot(card).parentElement;
      const slots = this.slots(list);
      const index = slots.indexOf(this.slot(card));
      if (key === "ArrowLeft" || key === "ArrowRight") {
        const target = this.beside(list, key);
        if (target) this.put(card, { list: target, before: this.slots(target)[Math.min(index, this.slots(target).length)] });
      } else if (this.ordered) {
        const before = key === "ArrowUp" ? slots[index - 1] : slots[index + 2];
        if (key === "ArrowDown" || index > 0) this.put(card, { list, before });
      }
      card.focus();
      const now = this.slots(this.slot(card).parentElement);
      crm.announce(crm.fill(this.text.textOver, { ...this.names(card), position: now.indexOf(this.slot(card)) + 1, count: now.length }));
    }

    beside(list, key) {
      const forward = (key === "ArrowRight") === (getComputedStyle(this.root).direction !== "rtl");
      return this.lists[this.lists.indexOf(list) + (forward ? 1 : -1)];
    }

    walk(card, key) {
      const list = this.slot(card).parentElement;
      const index = this.slots(list).indexOf(this.slot(card));
      const sideways = key === "ArrowLeft" || key === "ArrowRight";
      let target = sideways ? this.beside(list, key) : list;
      while (sideways && target && !this.slots(target).length) target = this.beside(target, key);
      if (!target) return;
      const slots = this.slots(target);
      const wanted = sideways ? Math.min(index, slots.length - 1) : index + (key === "ArrowDown" ? 1 : -1);
      slots[wanted]?.querySelector("[data-card]").focus();
    }

    drop(card) {
      card.toggleAttribute("data-lifted", false);
      this.lifted = null;
    }

    cancel() {
      const { card, from } = this.lifted;
      this.drop(card);
      this.put(card, from);
      if (document.activeElement === document.body) card.focus();
      crm.announce(crm.fill(this.text.textCancelled, this.names(card)));
    }

    // --- menu ---
    click(event) {
      const button = event.target.closest("[data-card-menu]");
      if (button) return this.menu(button.closest("[data-card]"), button);
    }

    menu(card, button) {
      const dialog = this.root.querySelector("[data-board-menu]");
      const own = this.column(card).dataset.column;
      for (const item of dialog.querySelectorAll("button[value]")) {
        item.disabled = item.value === own;
        item.onclick = () => {
          const from = this.place(card);
          const target = this.columns.find((column) => column.dataset.column === item.value).querySelector("[data-cards]");
          dialog.close();
          this.put(card, { list: target, before: this.slots(target)[0] });
          button.focus();
          this.move(card, from);
        };
      }
      dialog.showModal();
      dialog.querySelector("button[value]:not(:disabled)")?.focus();
      dialog.addEventListener("close", () => button.focus(), { once: true });
    }
  }

  crm.each("[data-board]", (root) => new Board(root));
})();
