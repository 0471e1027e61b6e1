// What a page asks of WeCom's client: which customer it stands beside, to send words and materials, to open a chat.
// The page's own texts and addresses stand in the attributes of #wecom; outside WeCom it says so and asks nothing.
"use strict";

(() => {
  const root = document.getElementById("wecom");
  const said = document.getElementById("said");
  const isInside = ww.env.isWeCom && Boolean(root.dataset.corp);
  const BESIDE_A_CUSTOMER = ["single_chat_tools", "contact_profile", "chat_attachment"];
  const PATIENCE = 10_000; // ms: who has not answered by then will hardly
  const WRITING = 600_000; // ms: somebody writes in the client's own window before it answers
  let leaving;

  function soon(answer, patience = PATIENCE) {
    const late = new Promise((_, refuse) => { setTimeout(() => refuse(new Error("no answer")), patience); });
    return Promise.race([answer, late]);
  }

  function say(words) {
    said.textContent = words;
    said.hidden = false;
    clearTimeout(leaving);
    leaving = setTimeout(() => { said.hidden = true; }, 5000);
  }

  function show(state) {
    for (const part of document.querySelectorAll("[data-state]")) part.hidden = part.dataset.state !== state;
  }

  // ── Signatures: one answer of ours holds both, for as long as the page keeps its address ─────────────────────────
  const signed = new Map();

  function signatures(url) {
    if (!signed.has(url)) {
      const address = new URL(root.dataset.signatures, location.href);
      address.searchParams.set("url", url);
      const answer = fetch(address, { credentials: "same-origin" }).then((response) => {
        if (!response.ok) throw new Error(`signatures: ${response.status}`);
        return response.json();
      });
      answer.catch(() => signed.delete(url));
      signed.set(url, answer);
    }
    return signed.get(url);
  }

  // WeCom's client took none of them: we say so, and whether there may be better ones now.
  async function renewed() {
    const url = location.href.split("#")[0];
    const given = await signed.get(url);
    signed.clear();
    if (!given) return false;
    const body = new FormData();
    body.set("csrfmiddlewaretoken", document.querySelector("[name=csrfmiddlewaretoken]").value);
    body.set("url", url);
    for (const kind of ["config", "agentConfig"]) {
      const { nonceStr, timestamp, signature } = given[kind];
      body.set(kind, `${nonceStr} ${timestamp} ${signature}`);
    }
    return (await fetch(root.dataset.signatures, { method: "POST", body, credentials: "same-origin" })).ok;
  }

  let isConfigured = false;
  if (isInside) {
    ww.register({
      corpId: root.dataset.corp,
      agentId: root.dataset.agent,
      jsApiList: ["getContext", "getCurExternalContact", "sendChatMessage", "openEnterpriseChat", "shareToExternalMoments"],
      getConfigSignature: async (url) => (await signatures(url)).config,
      getAgentConfigSignature: async (url) => (await signatures(url)).agentConfig,
      onConfigSuccess: () => { isConfigured = true; },
      onAgentConfigSuccess: () => { isConfigured = true; },
    });
  }

  // Ask the client. One that refuses our signatures is asked once more, with others. What is done late is done: `done`
  // is called whenever the client says so, also when nobody waits any more.
  async function ask(call, { done = () => {}, patience } = {}) {
    const called = () => {
      const answer = call();
      answer.then(done, () => {});
      return soon(answer, patience);
    };
    try {
      return await called();
    } catch (error) {
      if (!/signature|permission|config/i.test(error.errMsg || "") || !(await renewed())) throw error;
      if (isConfigured) location.reload(); // the vendor's library keeps to what was taken once
      return called();
    }
  }

  // ── Our own server: it answers in time, and with what was asked for; a sign-in that has ended begins again ────────
  class Unheard extends Error {}

  async function post(address, body) {
    const asked = fetch(address, { method: "POST", body, credentials: "same-origin" });
    const answer = await soon(asked).catch(() => { throw new Unheard(); });
    if (answer.redirected) location.reload();
    const told = await answer.json().catch(() => { throw new Unheard(); });
    return { ok: answer.ok, told };
  }

  // That something is sent: the page may be gone before it is heard.
  function report(address, body) {
    fetch(address, { method: "POST", body, credentials: "same-origin", keepalive: true }).catch(() => {});
  }

  function sorry(error) {
    say(error instanceof Unheard ? root.dataset.offline : root.dataset.failed);
  }

  // ── Beside a chat ────────────────────────────────────────────────────────────────────────────────────────────────
  async function look(form) {
    if (!isInside) return show("outside");
    try {
      const { entry } = await ask(() => ww.getContext());
      if (!BESIDE_A_CUSTOMER.includes(entry)) return show("elsewhere");
      const { userId } = await ask(() => ww.getCurExternalContact());
      form.elements.external_userid.value = userId;
      htmx.trigger(form, "known");
    } catch {
      show("failed");
    }
    return undefined;
  }

  // Whether these words may be sent, and then that they were; the answer is what speaks against it, "" if nothing does.
  async function objection(button, more = {}) {
    const body = new FormData(document.getElementById("beside"));
    for (const [name, value] of Object.entries(more)) body.set(name, value);
    const { ok, told } = await post(button.closest("[data-asks]").dataset.asks, body);
    return ok ? "" : told.said;
  }

  async function send(button) {
    if (!isInside) return say(root.dataset.outside);
    button.disabled = true;
    try {
      const asked = await objection(button);
      if (asked) {
        button.disabled = false;
        return say(asked);
      }
      const content = document.getElementById(button.dataset.send).textContent;
      await ask(() => ww.sendChatMessage({ msgtype: "text", text: { content } }), { done: () => sent(button) });
    } catch (error) {
      button.disabled = false;
      sorry(error);
    }
    return undefined;
  }

  function sent(button) {
    const body = new FormData(document.getElementById("beside"));
    body.set("sent", 1);
    [button.disabled, button.textContent] = [true, button.dataset.done];
    report(button.closest("[data-asks]").dataset.asks, body);
  }

  // ── Materials: we are asked for what to send, the client sends it, and we are told ────────────────────────────────
  async function share(form) {
    const via = form.elements.via?.value || "chat";
    if (via !== "copy" && !isInside) return say(root.dataset.outside);
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const { ok, told } = await post(form.action, new FormData(form));
      if (ok) await hand(told, form, button);
      else say(told.said);
      if (!ok || told.externalUserId) button.disabled = false;
    } catch (error) {
      button.disabled = false;
      sorry(error);
    }
    return undefined;
  }

  // What is copied, or to be sent from beside the chat, is not sent yet.
  async function hand(told, form, button) {
    const done = () => {
      [button.disabled, button.textContent] = [true, form.dataset.done];
      const body = new FormData(form);
      body.set("sent", "1");
      report(told.sent, body);
    };
    if (told.externalUserId) {
      await copyText(told.copy);
      await openedChat(told.externalUserId);
    } else if (told.moments) {
      await ask(() => ww.shareToExternalMoments(told.moments), { done, patience: WRITING });
    } else if (told.message) {
      await ask(() => ww.sendChatMessage(told.message), { done });
    } else {
      const words = button.textContent;
      button.textContent = (await copyText(told.copy)) ? form.dataset.done : form.dataset.held;
      setTimeout(() => { [button.disabled, button.textContent] = [false, words]; }, 3000); // it can be copied again
    }
  }

  function openedChat(who) {
    return ask(() => ww.openEnterpriseChat({ userIds: [], externalUserIds: [who], groupName: "" }));
  }

  // Whether it is in the clipboard. Where there is none, or none for us, the words stand there, to be pressed and held.
  async function copyText(words) {
    const held = document.getElementById("copied");
    try {
      await navigator.clipboard.writeText(words);
      if (held) held.hidden = true;
      return true;
    } catch {
      if (held) [held.textContent, held.hidden] = [words, false];
      return false;
    }
  }

  // ── To the chat ──────────────────────────────────────────────────────────────────────────────────────────────────
  // The words the clerk is about to paste; a client without a clipboard opens the chat all the same.
  function copy(name) {
    const words = name && document.getElementById(name);
    if (words && navigator.clipboard) navigator.clipboard.writeText(words.textContent.trim()).catch(() => {});
  }

  async function openChat(form) {
    if (!isInside) return say(root.dataset.outside);
    try {
      const { ok, told } = await post(form.action, new FormData(form));
      if (!ok) return say(told.said);
      copy(form.dataset.copies);
      await openedChat(told.externalUserId);
    } catch (error) {
      sorry(error);
    }
    return undefined;
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-send]");
    if (button) send(button);
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-chat], [data-share]")) return;
    event.preventDefault();
    if (event.target.matches("[data-chat]")) openChat(event.target);
    else share(event.target);
  });
  const beside = document.getElementById("beside");
  // Parts of the page ask by themselves; only who the customer is makes it another page.
  const when = (name, state) => document.body.addEventListener(name, (event) => {
    if (beside && event.detail.requestConfig.elt === beside) show(state);
  });
  when("htmx:afterSwap", "customer");
  when("htmx:responseError", "failed");
  when("htmx:sendError", "failed");

  if (beside) {
    for (const again of document.querySelectorAll("[data-again]")) again.addEventListener("click", () => look(beside));
    look(beside);
  }
})();
