// The ground the other modules stand on, and the behaviour of the shell: messages, busy bar, menus, shortcuts, CSRF.
// `window.crm` is public for plugins:
//   crm.each(selector, init)          run init once per matching element, now and in whatever htmx swaps in later
//   crm.request(url, {method, json, body, headers})   fetch with CSRF token and busy bar; never rejects for a status
//   crm.toast(text, category)         show a message: info, success, warning, error
//   crm.announce(text)                say something to assistive technology only
//   crm.library(url)                  load a script of this site once; resolves when it has run
//   crm.fill(template, values)        "{card} moved" with values put in
(function () {
  "use strict";
  const root = document.documentElement;

  // --- elements that appear later -----------------------------------------------------------------------------------
  const behaviours = [];
  function each(selector, init) {
    behaviours.push([selector, init]);
    start(document, [[selector, init]]);
  }
  function start(scope, list) {
    for (const [selector, init] of list) {
      const found = [...scope.querySelectorAll(selector)];
      if (scope.matches?.(selector)) found.unshift(scope);
      for (const element of found) {
        element.crmStarted ??= new Set();
        if (element.crmStarted.has(init)) continue;
        element.crmStarted.add(init);
        init(element);
      }
    }
  }

  // --- requests -----------------------------------------------------------------------------------------------------
  const token = () => document.querySelector('meta[name="csrf-token"]').content;
  let pending = 0;
  function busy(step) {
    pending = Math.max(0, pending + step);
    root.toggleAttribute("data-busy", pending > 0);
  }
  async function request(url, { method = "GET", json, body, headers = {} } = {}) {
    const all = new Headers({ Accept: "application/json, text/html;q=0.9", ...headers });
    if (method !== "GET") all.set("X-CSRFToken", token());
    if (json !== undefined) all.set("Content-Type", "application/json");
    busy(+1);
    try {
      return await fetch(url, { method, headers: all, body: json === undefined ? body : JSON.stringify(json), credentials: "same-origin" });
    } finally {
      busy(-1);
    }
  }
  const loading = new Map();
  function library(url) {
    if (!loading.has(url)) {
      loading.set(url, new Promise((resolve, reject) => {
        const script = Object.assign(document.createElement("script"), { src: url, onload: resolve, onerror: reject });
        document.head.append(script);
      }));
    }
    return loading.get(url);
  }

  document.addEventListener("htmx:configRequest", (event) => { event.detail.headers["X-CSRFToken"] = token(); });
  document.addEventListener("htmx:beforeRequest", () => busy(+1));
  document.addEventListener("htmx:afterRequest", () => busy(-1));
  document.addEventListener("htmx:load", (event) => start(event.detail.elt, behaviours));
  for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => toast(problem(event.detail.xhr), "error"));
  }
  function problem(xhr) {
    try { return JSON.parse(xhr.responseText).detail || document.body.dataset.textFailed; } catch { return document.body.dataset.textFailed; }
  }
  // A page that is left shows the bar until the next one paints; one that comes back from the cache must not.
  // A download leaves nothing: there the bar stops by itself.
  addEventListener("beforeunload", () => { busy(+1); setTimeout(() => busy(-1), 8000); });
  addEventListener("pageshow", () => { pending = 0; busy(0); });

  // --- messages -----------------------------------------------------------------------------------------------------
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
  function announce(text) {
    const region = document.getElementById("crm-announcer");
    region.textContent = "";
    requestAnimationFrame(() => { region.textContent = text; });
  }
  let region = null;
  function toast(text, category = "info") {
    const source = document.querySelector(`[data-toast-template="${category}"]`) || document.querySelector("[data-toast-template=info]");
    const element = source.content.firstElementChild.cloneNode(true);
    element.querySelector("p").textContent = text;
    region ??= document.getElementById("crm-toasts");
    // All but an open modal dialog is inert and dimmed: the message has to be inside it to be seen and closed.
    const dialog = [...document.querySelectorAll("dialog:modal")].at(-1);
    (dialog ?? document.body).append(region);
    dialog?.addEventListener("close", () => document.body.append(region), { once: true });
    region.append(element);
    arm(element);
  }
  // Errors stay until closed (WCAG 2.2.1); the others leave when there was time to read them, unless pointed at or focused.
  function arm(element) {
    element.querySelector("[data-toast-close]").addEventListener("click", () => element.remove());
    if (["error", "danger", "warning"].includes(element.dataset.toast)) return;
    // Who is offered to take something back needs longer than who only reads.
    const wait = (element.querySelector("a") ? 20000 : 5000) + 60 * element.textContent.length;
    setTimeout(function leave() {
      if (element.matches(":hover, :focus-within")) setTimeout(leave, 2000); else element.remove();
    }, wait);
  }
  document.addEventListener("crm:toast", (event) => toast(event.detail.text, event.detail.category));

  // --- menus (<details data-pop>) -----------------------------------------------------------------------------------
  function menu(pop) {
    const head = pop.querySelector("summary");
    pop.addEventListener("toggle", () => {
      if (!pop.open) return;
      if (pop.lastElementChild.getBoundingClientRect().right > innerWidth) pop.classList.add("crm-pop-end");
      document.querySelectorAll("details[data-pop][open]").forEach((other) => { if (other !== pop && !other.contains(pop)) other.open = false; });
    });
    pop.addEventListener("focusout", (event) => { if (event.relatedTarget && !pop.contains(event.relatedTarget)) pop.open = false; });
    pop.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && pop.open) { pop.open = false; head.focus(); event.stopPropagation(); }
      if (event.key === "ArrowDown" || event.key === "ArrowUp") step(event, pop, head);
    });
  }
  function step(event, pop, head) {
    if (!event.target.matches("summary, .crm-menu-item")) return;
    const items = [...pop.querySelectorAll(".crm-menu-item")].filter((item) => item.offsetParent !== null || !pop.open);
    if (!items.length || event.target.closest(".crm-filter-list")) return;
    event.preventDefault();
    if (event.target === head) pop.open = true;
    const now = items.indexOf(event.target);
    const next = event.key === "ArrowDown" ? now + 1 : now < 0 ? items.length - 1 : now - 1;
    items[(next + items.length) % items.length].focus();
  }
  document.addEventListener("click", (event) => {
    document.querySelectorAll("details[data-pop][open]").forEach((pop) => { if (!pop.contains(event.target)) pop.open = false; });
  });

  // --- links that change something (a[data-post]): without a script they lead to a page that asks -------------------
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-post]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const response = await request(link.href, { method: "POST", headers: { "HX-Request": "true" } }).catch(() => null);
    if (response?.ok) location.reload(); else toast(document.body.dataset.textFailed, "error");
  });

  // --- copying (button[data-copy]); without a clipboard (plain http) the button stays hidden ------------------------
  function copier(button) {
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      toast(button.dataset.textDone, "success");
    });
  }

  window.crm = { each, request, toast, announce, library, fill };
  each("[data-toast]", arm);
  each("details[data-pop]", menu);
  each("button[data-copy]", copier);
})();
