// What a page asks of WeCom's client: which customer it stands beside, to send words and materials, to open a chat.
// The page's own texts and addresses stand in the attributes of #wecom; outside WeCom it says so and asks nothing.
"use strict";

(() => {
  const root = document.getElementById("wecom");
  const said = document.getElementById("said");
  const isInside = ww.env.isWeCom && Boolean(root.dataset.corp);
  const BESIDE_A_CUSTOMER = ["single_chat_tools", "contact_profile", "chat_attachment"];
  const PATIENCE = 10_000; // ms: a client that has not answered by then will not
  let leaving;

  function soon(answer) {
    const late = new Promise((_, refuse) => { setTimeout(() => refuse(new Error("no answer")), PATIENCE); });
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

  // Ask the client. One that refuses our signatures is asked once more, with others.
  async function ask(call) {
    try {
      return await soon(call());
    } catch (error) {
      if (!/signature|permission|config/i.test(error.errMsg || "") || !(await renewed())) throw error;
      if (isConfigured) location.reload(); // the vendor's library keeps to what was taken once
      return soon(call());
    }
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
    const address = button.closest("[data-asks]").dataset.asks;
    const answer = await fetch(address, { method: "POST", body, credentials: "same-origin" });
    return answer.ok ? "" : (await answer.json()).said;
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
      await ask(() => ww.sendChatMessage({ msgtype: "text", text: { content } }));
      button.textContent = button.dataset.done;
      objection(button, { sent: 1 }).catch(() => {}); // they have been sent, whether or not we hear of it
    } catch {
      button.disabled = false;
      say(root.dataset.failed);
    }
    return undefined;
  }

  // ── Materials: we are asked for what to send, the client sends it, and we are told ────────────────────────────────
  async function share(form) {
    const via = form.elements.via?.value || "chat";
    if (via !== "copy" && !isInside) return say(root.dataset.outside);
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const answer = await fetch(form.action, { method: "POST", body: new FormData(form), credentials: "same-origin" });
      const told = await answer.json();
      if (!answer.ok) throw new Error(told.said, { cause: "said" });
      const isSent = await hand(told);
      if (told.externalUserId) {
        button.disabled = false;
        return undefined;
      }
      button.textContent = form.dataset.done;
      if (isSent) done(form, told.sent);
    } catch (error) {
      button.disabled = false;
      say(error.cause === "said" ? error.message : root.dataset.failed);
    }
    return undefined;
  }

  // Whether the client has sent it; what is copied, or to be sent from beside the chat, is not sent yet.
  async function hand(told) {
    if (told.externalUserId) {
      copyText(told.copy);
      await ask(() => ww.openEnterpriseChat({ userIds: [], externalUserIds: [told.externalUserId], groupName: "" }));
      return false;
    }
    if (told.moments) await ask(() => ww.shareToExternalMoments(told.moments));
    else if (told.message) await ask(() => ww.sendChatMessage(told.message));
    else copyText(told.copy);
    return Boolean(told.moments || told.message);
  }

  function done(form, address) {
    const body = new FormData(form);
    body.set("sent", "1");
    fetch(address, { method: "POST", body, credentials: "same-origin" }).catch(() => {}); // it is sent, heard of or not
  }

  // Where there is no clipboard the words stand there, to be pressed and held.
  function copyText(words) {
    const held = document.getElementById("copied");
    const show = () => {
      if (held) [held.textContent, held.hidden] = [words, false];
    };
    if (navigator.clipboard) navigator.clipboard.writeText(words).catch(show);
    else show();
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
      const answer = await fetch(form.action, { method: "POST", body: new FormData(form), credentials: "same-origin" });
      const told = await answer.json();
      if (!answer.ok) return say(told.said);
      copy(form.dataset.copies);
      await ask(() => ww.openEnterpriseChat({ userIds: [], externalUserIds: [told.externalUserId], groupName: "" }));
    } catch {
      say(root.dataset.failed);
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
