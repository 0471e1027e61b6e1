// The files somebody has just chosen, with their pictures, before any of them is sent.
"use strict";

document.addEventListener("change", (event) => {
  const list = event.target.closest?.("[data-files]")?.querySelector("[data-chosen]");
  if (!list || event.target.type !== "file") return;
  const PICTURES = ["image/jpeg", "image/png", "image/webp"];
  const MOST = 12; // pictures that are read to be shown; of more their names
  const MEGA = 1024 * 1024;

  function picture(file) {
    const image = document.createElement("img");
    const reader = new FileReader();
    image.alt = "";
    image.addEventListener("error", () => image.remove());
    reader.addEventListener("load", () => (image.src = reader.result));
    reader.readAsDataURL(file);
    return image;
  }

  function shown(file, place) {
    const made = document.createElement("li");
    if (PICTURES.includes(file.type) && place < MOST) made.append(picture(file));
    const words = document.createElement("small");
    words.textContent = `${file.name} · ${file.size < MEGA ? `${Math.ceil(file.size / 1024)} KB` : `${(file.size / MEGA).toFixed(1)} MB`}`;
    made.append(words);
    return made;
  }

  list.replaceChildren(...[...event.target.files].map(shown));
});
