// Pages of plans: a file is read into its box, and of a rule only what its calculation needs is asked for.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  for (const chosen of document.querySelectorAll("input[type=file][data-into]")) {
    chosen.addEventListener("change", async () => {
      const [file] = chosen.files;
      if (file) document.getElementById(chosen.dataset.into).value = await file.text();
    });
  }

  const TERMS = { rate: ["ppm"], fixed: ["fen"], per_qty: ["fen"], rate_plus: ["ppm", "fen"], discount_tier: ["steps"] };
  const BASED = ["rate", "rate_plus", "discount_tier"];
  const kind = document.getElementById("id_calc_type");
  if (!kind) return;
  const show = (name, isShown) => {
    const box = document.getElementById(`id_${name}`)?.closest(".field-line");
    if (box) box.hidden = !isShown;
  };
  const choose = () => {
    for (const term of ["ppm", "fen", "steps"]) show(`calc_${term}`, TERMS[kind.value]?.includes(term) ?? true);
    show("base", BASED.includes(kind.value));
  };
  kind.addEventListener("change", choose);
  choose();
});
