// Forms: repeated rows, the error summary, unsaved changes, and filter forms that keep the address short.
(function () {
  "use strict";

  // Rows of a sub-form. Numbers only grow, so the server may see gaps: it takes the rows in the order they come.
  crm.each("[data-subform]", (group) => {
    const rows = group.querySelector("[data-subform-rows]");
    const blank = group.querySelector("template[data-subform-blank]");
    const add = group.querySelector("[data-subform-add]");
    let next = Number(group.dataset.next);

    add.addEventListener("click", () => {
      const row = blank.content.firstElementChild.cloneNode(true);
      number(row, next++);
      rows.append(row);
      document.dispatchEvent(new CustomEvent("htmx:load", { detail: { elt: row } }));
      row.querySelector("input:not([type=hidden]):not([hidden]), select:not([hidden]), textarea")?.focus();
      changed(group);
    });
    rows.addEventListener("click", (event) => {
      const row = event.target.closest("[data-subform-remove]")?.closest("[data-subform-row]");
      if (!row) return;
      const neighbour = row.nextElementSibling || row.previousElementSibling;
      row.remove();
      (neighbour?.querySelector("[data-subform-remove]") || add).focus();
      changed(group);
    });
  });
  function number(row, index) {
    for (const node of [row, ...row.querySelectorAll("*")]) {
      for (const attribute of node.attributes) attribute.value = attribute.value.replaceAll("__index__", index);
    }
  }
  function changed(group) { group.dispatchEvent(new Event("change", { bubbles: true })); }

  // Sections that concern only one value of a field; what they hide is not sent, so nothing is stored unseen.
  crm.each("[data-when]", (section) => {
    const control = section.closest("form")?.elements[section.dataset.when];
    if (!control) return;
    const show = () => {
      section.hidden = control.value !== section.dataset.whenValue;
      section.querySelectorAll("input, select, textarea").forEach((field) => { field.disabled = section.hidden; });
    };
    control.addEventListener("change", show);
    show();
  });

  crm.each("[data-error-summary]", (summary) => {
    summary.focus();
    summary.addEventListener("click", (event) => {
      const target = document.getElementById(event.target.closest("a")?.hash.slice(1));
      if (!target) return;
      event.preventDefault();
      target.focus();
      target.scrollIntoView({ block: "center" });
    });
  });

  // The browser asks in its own words before a changed form is left.
  crm.each("form[data-guard]", (form) => {
    let dirty = false;
    const ask = (event) => { if (dirty) event.preventDefault(); };
    form.addEventListener("change", () => { dirty = form.hasAttribute("data-guard"); });
    form.addEventListener("submit", () => { dirty = false; });
    addEventListener("beforeunload", ask);
  });

  // ?q=&stage.op=is&stage=&… says nothing: an empty control, and the comparison that belongs to it, stay out of the address.
  crm.each("form[data-clean-url]", (form) => {
    form.addEventListener("formdata", (event) => {
      const data = event.formData;
      for (const [name, value] of [...data]) if (value === "") drop(data, name);
      for (const control of form.querySelectorAll("[data-with]")) if (!data.has(control.dataset.with)) data.delete(control.name);
    });
  });
  function drop(data, name) {
    const kept = data.getAll(name).filter((value) => value !== "");
    data.delete(name);
    kept.forEach((value) => data.append(name, value));
  }
})();
