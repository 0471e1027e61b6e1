// Tells how long the page was in sight: when it goes out of sight, and now and then while it is in it.
(() => {
  "use strict";
  const { stay, token } = document.body.dataset;
  let before = 0, since = null, told = 0;

  const seconds = () => Math.floor((before + (since === null ? 0 : performance.now() - since)) / 1000);

  function tell() {
    const now = seconds();
    if (now <= told || now > 3600 || !navigator.sendBeacon) return;
    if (navigator.sendBeacon(stay, new URLSearchParams({ token, seconds: now }))) told = now;
  }

  function turn() {
    if (document.visibilityState === "visible") {
      since ??= performance.now();
      return;
    }
    if (since !== null) before += performance.now() - since;
    since = null;
    tell();
  }

  document.addEventListener("visibilitychange", turn);
  window.addEventListener("pagehide", tell);
  window.setInterval(tell, 15000);
  turn();
})();
