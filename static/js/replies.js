// A quick reply: names are put in with a tap, and below stands what the customer will read.
"use strict";

(() => {
  const text = document.getElementById("reply-text");
  const preview = document.getElementById("reply-preview");
  const said = document.getElementById("reply-said");
  const places = [...document.querySelectorAll("[data-place]")];

  function show() {
    let words = text.value;
    for (const one of places) words = words.replaceAll(one.dataset.place, one.dataset.example);
    said.textContent = words;
    preview.hidden = !text.value.trim();
  }

  for (const one of places) {
    one.addEventListener("click", () => {
      text.setRangeText(one.dataset.place, text.selectionStart, text.selectionEnd, "end");
      text.focus();
      show();
    });
  }
  text.addEventListener("input", show);
  show();
})();
