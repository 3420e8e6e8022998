// Passkeys: a form marked `data-passkey` asks the desk what is wanted (`data-ask`), lets the browser answer with a passkey,
// and is posted with that answer. Without this file, or in a browser without passkeys, the form is not shown.
(() => {
  "use strict";
  if (!window.PublicKeyCredential || !navigator.credentials) return;
  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (it) => it.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

  async function asked(form) {
    const options = form.dataset.passkey === "make" ? { method: "POST", body: new URLSearchParams(new FormData(form)) } : {};
    const answer = await fetch(form.dataset.ask, { credentials: "same-origin", ...options });
    if (answer.ok) return (await answer.json()).publicKey;
    const why = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".problems, .failed");
    throw new Error(why ? why.textContent.trim() : String(answer.status));
  }
  function descriptors(list) { return (list || []).map((it) => ({ ...it, id: bytes(it.id) })); }
  async function made(options) {
    const user = { ...options.user, id: bytes(options.user.id) };
    const publicKey = { ...options, user, challenge: bytes(options.challenge), excludeCredentials: descriptors(options.excludeCredentials) };
    const found = await navigator.credentials.create({ publicKey });
    return { found, response: { attestationObject: text(found.response.attestationObject) } };
  }
  async function shown(options) {
    const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: descriptors(options.allowCredentials) };
    const found = await navigator.credentials.get({ publicKey });
    const { authenticatorData, signature, userHandle } = found.response;
    const response = { authenticatorData: text(authenticatorData), signature: text(signature) };
    return { found, response: userHandle ? { ...response, userHandle: text(userHandle) } : response };
  }
  function told(form, sentence) {
    const place = form.querySelector("[role=alert]");
    place.textContent = sentence; place.hidden = !sentence;
  }

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button");
      button.disabled = true; told(form, "");
      try {
        const options = await asked(form);
        const { found, response } = await (form.dataset.passkey === "make" ? made(options) : shown(options));
        const whole = { id: found.id, rawId: text(found.rawId), type: found.type, clientExtensionResults: {},
          response: { ...response, clientDataJSON: text(found.response.clientDataJSON) } };
        form.elements.answer.value = JSON.stringify(whole);
        // The challenge proves that the password was known: it need not travel twice.
        if (form.elements.password) form.elements.password.disabled = true;
        form.submit();
      } catch (error) {
        const known = { NotAllowedError: form.dataset.cancelled, InvalidStateError: form.dataset.held };
        told(form, known[error.name] || error.message);
        button.disabled = false;
      }
    });
  }
})();
