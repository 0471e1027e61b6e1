// What WeCom's client puts into every page before its own scripts: the bridge, and a name in the user agent.
(function () {
  "use strict";
  const agent = navigator.userAgent + " wxwork/4.1.20 MicroMessenger/7.0.1";
  Object.defineProperty(navigator, "userAgent", { get: () => agent });

  const tell = (name, result) => {
    if (window.parent !== window) window.parent.postMessage({ wecom: name, result }, "*");
  };

  async function invoke(name, params, callback) {
    const body = JSON.stringify({ name, params: params || {}, url: location.href.split("#")[0] });
    let result;
    try {
      const answer = await fetch("/_wecom/invoke", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body,
      });
      result = await answer.json();
    } catch (error) {
      result = { err_msg: name + ":fail " + error };
    }
    tell(name, result);
    if (callback) callback(result);
  }

  const listeners = {};
  window.WeixinJSBridge = {
    invoke,
    call: (name) => invoke(name, {}),
    on: (name, callback) => { (listeners[name] = listeners[name] || []).push(callback); },
  };
  document.addEventListener("DOMContentLoaded", () => document.dispatchEvent(new Event("WeixinJSBridgeReady")));
})();
