// What the pages cannot say by themselves: that a part of them did not arrive.
"use strict";

(() => {
  const hint = document.getElementById("hint");
  let leaving;

  function say() {
    hint.hidden = false;
    clearTimeout(leaving);
    leaving = setTimeout(() => { hint.hidden = true; }, 4000);
  }

  document.body.addEventListener("htmx:responseError", say);
  document.body.addEventListener("htmx:sendError", say);
})();
