// Native dialogs: those of the page (data-dialog-open="#id") and those loaded from an address (data-dialog-open="/…").
// What a loaded dialog expects of the server stands in templates/kernel/components/dialog.html.
(function () {
  "use strict";

  function show(dialog, opener) {
    // What opened it may be in a menu that has closed since: then its button takes the focus back.
    const back = opener?.closest("details[data-pop]")?.querySelector("summary") ?? opener;
    dialog.showModal();
    dialog.addEventListener("close", () => back?.focus(), { once: true });
  }
  function focusFirst(dialog) {
    dialog.querySelector("[data-error-summary], [autofocus], .crm-dialog-body :is(input:not([type=hidden]), select, textarea)")?.focus();
  }

  // Resolves with the server's JSON once the loaded form was accepted, with null if it was cancelled.
  async function load(url, opener) {
    const response = await crm.request(url, { headers: { "HX-Request": "true", Accept: "text/html" } }).catch(() => null);
    if (!response?.ok) { crm.toast(await reason(response), "error"); return null; }
    const dialog = document.getElementById("crm-loaded-dialog").content.firstElementChild.cloneNode(true);
    document.body.append(dialog);
    fill(dialog, await response.text(), url);
    show(dialog, opener);
    focusFirst(dialog);
    return new Promise((resolve) => {
      let result = null;
      dialog.addEventListener("crm:done", (event) => { result = event.detail; dialog.close(); });
      dialog.addEventListener("close", () => { dialog.remove(); resolve(result); }, { once: true });
    });
  }

  function fill(dialog, html, url) {
    const page = new DOMParser().parseFromString(html, "text/html");
    const part = page.querySelector("[data-dialog-part]") || page.querySelector("main") || page.body;
    const title = part.getAttribute("aria-label") || page.querySelector("main h1, main h2, body > h1, body > h2")?.textContent || "";
    dialog.querySelector("header h2").textContent = title.trim();
    dialog.querySelector(".crm-dialog-body").replaceChildren(document.adoptNode(part));
    const form = dialog.querySelector("form[method=post]");
    form?.removeAttribute("data-guard");
    form?.addEventListener("submit", (event) => { event.preventDefault(); send(dialog, form, event.submitter, url); });
    window.htmx?.process(dialog);
    document.dispatchEvent(new CustomEvent("htmx:load", { detail: { elt: dialog } }));
    focusFirst(dialog);
  }

  async function send(dialog, form, submitter, url) {
    const action = submitter?.getAttribute("formaction") || form.getAttribute("action") || url;
    const response = await crm.request(action, {
      method: "POST",
      body: new FormData(form, submitter),
      headers: { "HX-Request": "true" },
    }).catch(() => null);
    if (response?.headers.has("HX-Redirect")) return location.assign(response.headers.get("HX-Redirect"));
    if (response?.headers.get("HX-Refresh") === "true") return location.reload();
    if (response?.redirected) return location.assign(response.url);
    const html = response?.headers.get("Content-Type")?.includes("text/html");
    if (response?.status === 422 && html) return fill(dialog, await response.text(), url);
    if (!response?.ok) return crm.toast(await reason(response), "error");
    const detail = response.status === 204 || html ? {} : await response.json();
    dialog.dispatchEvent(new CustomEvent("crm:done", { detail }));
  }

  async function reason(response) {
    const fallback = document.body.dataset.textFailed;
    if (!response?.headers.get("Content-Type")?.includes("json")) return fallback;
    return (await response.json().catch(() => ({}))).detail || fallback;
  }

  document.addEventListener("click", async (event) => {
    const opener = event.target.closest("[data-dialog-open]");
    if (opener) {
      event.preventDefault();
      const target = opener.dataset.dialogOpen;
      opener.closest("details[data-pop]")?.removeAttribute("open");
      if (target.startsWith("#")) return show(document.querySelector(target), opener);
      const detail = await load(target, opener);
      if (detail?.message) crm.toast(detail.message, "success");
      if (detail) opener.dispatchEvent(new CustomEvent("crm:saved", { bubbles: true, detail }));
      return;
    }
    const dialog = event.target.closest("dialog");
    if (!dialog) return;
    // The dialog element itself is hit only on its backdrop: its content covers the rest.
    if (event.target.closest("[data-dialog-close]") || event.target === dialog) { event.preventDefault(); dialog.close(); }
  });

  // What cannot be undone asks for a word: the button stays off until it is there.
  crm.each("[data-typed]", (input) => {
    const button = input.form.querySelector("button:not([type=button])");
    const check = () => { button.disabled = input.value.trim() !== input.dataset.typed; };
    input.addEventListener("input", check);
    check();
  });

  crm.openDialog = load;
  crm.problemText = reason;
})();
