// What a form as it stands will say, drawn anew by the server while somebody types: a welcome, a rule in a sentence.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const place = document.querySelector("[data-address]");
  const form = place?.closest("form");
  if (!form) return;
  const PAUSE = 300; // ms without a key
  let waiting;
  let asked = 0;

  async function draw() {
    const turn = ++asked;
    const sent = new FormData(form);
    for (const [name, value] of [...sent]) if (value instanceof File) sent.delete(name); // seen once it is saved
    try {
      const answer = await fetch(place.dataset.address, { method: "POST", body: sent, credentials: "same-origin" });
      const shown = await answer.text();
      if (answer.ok && turn === asked) place.innerHTML = shown; // escaped by the server's template
    } catch {
      // The next key tries again.
    }
  }

  function soon() {
    clearTimeout(waiting);
    waiting = setTimeout(draw, PAUSE);
  }

  form.addEventListener("input", soon);
  form.addEventListener("change", soon);
  document.addEventListener("formset:removed", soon);
  if (window.django?.jQuery) window.django.jQuery(form).on("change", "select", soon); // select2 tells jQuery only
});
