// Passkeys: button[data-passkey-login] logs in with one, [data-passkey-new] makes one. What cannot do it leaves them hidden.
(function () {
  "use strict";
  if (!window.PublicKeyCredential) return;
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const named = (list) => (list ?? []).map((item) => ({ ...item, id: bytes(item.id) }));

  function answer(credential) {
    const { response } = credential;
    const found = { clientDataJSON: text(response.clientDataJSON) };
    for (const part of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (response[part]) found[part] = text(response[part]);
    }
    if (response.getTransports) found.transports = response.getTransports();
    return { id: credential.id, rawId: text(credential.rawId), type: credential.type, response: found, clientExtensionResults: credential.getClientExtensionResults() };
  }
  async function post(url, json) {
    const done = await crm.request(url, { method: "POST", json });
    if (!done.ok) {
      const problem = await done.json().catch(() => ({}));
      throw new Error(Object.values(problem.errors ?? {}).flat()[0] ?? problem.detail ?? "");
    }
    return done.json();
  }
  async function run(element, button, step) {
    button.disabled = true;
    try {
      const done = await step(await post(element.dataset.options, {}));
      location.assign(done.next);
    } catch (error) {
      // A person who cancels gets the browser's words only; those are no use here.
      crm.toast(error instanceof DOMException || !error.message ? element.dataset.textFailed : error.message, "error");
      button.disabled = false;
    }
  }
  crm.each("[data-passkey-login]", (button) => {
    button.hidden = false;
    button.addEventListener("click", () => run(button, button, async (options) => {
      const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: named(options.allowCredentials) };
      const credential = await navigator.credentials.get({ publicKey });
      return post(button.dataset.finish, { credential: answer(credential), next: button.dataset.next ?? "" });
    }));
  });
  crm.each("[data-passkey-new]", (group) => {
    const [name, button] = [group.querySelector("input"), group.querySelector("button")];
    group.hidden = false;
    button.addEventListener("click", () => run(group, button, async (options) => {
      const publicKey = { ...options, challenge: bytes(options.challenge), user: { ...options.user, id: bytes(options.user.id) }, excludeCredentials: named(options.excludeCredentials) };
      const credential = await navigator.credentials.create({ publicKey });
      return post(group.dataset.finish, { credential: answer(credential), name: name.value });
    }));
  });
})();
