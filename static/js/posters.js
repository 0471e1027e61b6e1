// The editor of a poster template: areas as boxes on the background, their fields beside it, their JSON in the form,
// and how the server draws it. Which kinds there are and what each asks for comes from the server.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const editor = document.querySelector("[data-poster]");
  if (!editor) return;
  const grammar = JSON.parse(document.getElementById("poster-grammar").textContent);
  const { kinds, wordless, words } = grammar;
  const part = (name) => editor.querySelector(`[data-${name}]`);
  const [stage, list, columns, raw, picture] = ["stage", "list", "columns", "raw", "picture"].map(part);
  const form = editor.closest("form");
  const kept = editor.querySelector("textarea");
  const file = form.querySelector("input[type=file][name=file]");
  const PAUSE = 600; // ms without a change
  const STEP = 10; // pixels of an arrow key
  let size = { width: Number(editor.dataset.width), height: Number(editor.dataset.height) };
  let background = editor.dataset.background;
  let areas = [];
  let chosen = -1;
  let faults = [];
  let waiting;
  let asked = 0;

  function element(tag, attributes = {}, ...inside) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value != null) made.setAttribute(name, value);
    }
    made.append(...inside);
    return made;
  }

  // ── What is kept ─────────────────────────────────────────────────────────────────────────────────────────────────
  function read() {
    try {
      const found = JSON.parse(kept.value || "[]");
      return Array.isArray(found) && found.every((area) => area && typeof area === "object" && !Array.isArray(area)) ? found : null;
    } catch {
      return null;
    }
  }

  function write() {
    kept.value = areas.length ? `[\n  ${areas.map((area) => JSON.stringify(area)).join(",\n  ")}\n]` : "[]";
    soon();
  }

  // ── Boxes ────────────────────────────────────────────────────────────────────────────────────────────────────────
  const whole = (value) => (Number.isInteger(value) ? value : 0);
  const least = (area) => (area.kind === "code" ? grammar.smallest_code : grammar.smallest);
  const between = (low, value, high) => Math.max(low, Math.min(Math.max(low, high), Math.round(value)));
  const factor = () => (stage.clientWidth || 1) / (size.width || 1);

  function move(area, x, y) {
    area.x = between(0, x, size.width - whole(area.w));
    area.y = between(0, y, size.height - whole(area.h));
  }

  function resize(area, w, h) {
    area.w = between(least(area), w, size.width - whole(area.x));
    area.h = between(least(area), h, size.height - whole(area.y));
    if (area.kind === "code") area.w = area.h = Math.min(area.w, area.h);
  }

  function put(box, area) {
    for (const [side, name] of [["left", "x"], ["width", "w"]]) box.style[side] = `${(100 * whole(area[name])) / (size.width || 1)}%`;
    for (const [side, name] of [["top", "y"], ["height", "h"]]) box.style[side] = `${(100 * whole(area[name])) / (size.height || 1)}%`;
  }

  function drag(event, place, box) {
    const area = areas[place];
    const isResizing = event.target.dataset.handle !== undefined;
    const from = { x: whole(area.x), y: whole(area.y), w: whole(area.w), h: whole(area.h), left: event.clientX, top: event.clientY };
    const scale = factor();
    choose(place);
    box.focus({ preventScroll: true });
    event.preventDefault();
    box.setPointerCapture(event.pointerId);
    const follow = (now) => {
      const [right, down] = [(now.clientX - from.left) / scale, (now.clientY - from.top) / scale];
      if (isResizing) resize(area, from.w + right, from.h + down);
      else move(area, from.x + right, from.y + down);
      put(box, area);
      refresh(place);
    };
    const end = () => {
      box.removeEventListener("pointermove", follow);
      write();
    };
    box.addEventListener("pointermove", follow);
    box.addEventListener("pointerup", end, { once: true });
    box.addEventListener("pointercancel", end, { once: true });
  }

  function key(event, place, box) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const area = areas[place];
    const step = event.ctrlKey || event.metaKey ? 1 : STEP;
    const [right, down] = way.map((one) => one * step);
    if (event.shiftKey && area.kind === "code") resize(area, whole(area.w) + right + down, whole(area.h) + right + down);
    else if (event.shiftKey) resize(area, whole(area.w) + right, whole(area.h) + down);
    else move(area, whole(area.x) + right, whole(area.y) + down);
    put(box, area);
    refresh(place);
    write();
  }

  function drawStage() {
    stage.style.aspectRatio = size.width ? `${size.width} / ${size.height}` : "3 / 4";
    stage.replaceChildren(background ? element("img", { src: background, alt: "", draggable: "false" }) : element("p", {}, words.no_background));
    if (!size.width) return;
    areas.forEach((area, place) => {
      const name = `${place + 1} ${kinds[area.kind] ?? area.kind}`;
      const handle = element("i", { "data-handle": "", title: words.resize });
      const box = element("div", { class: "poster-box", tabindex: "0", role: "group", "aria-label": name, "data-box": place }, element("span", {}, name), handle);
      box.addEventListener("pointerdown", (event) => drag(event, place, box));
      box.addEventListener("keydown", (event) => key(event, place, box));
      box.addEventListener("focus", () => choose(place));
      put(box, area);
      stage.append(box);
    });
    mark();
  }

  // ── Fields ───────────────────────────────────────────────────────────────────────────────────────────────────────
  function field(name, control) {
    return element("label", { class: `poster-field poster-field-${name}` }, element("span", {}, words[name]), control);
  }

  function set(place, name, value) {
    areas[place][name] = value;
    const box = stage.querySelector(`[data-box="${place}"]`);
    if (box) put(box, areas[place]);
    write();
  }

  function number(place, name, fallback) {
    const value = areas[place][name] ?? fallback;
    const typed = (event) => set(place, name, event.target.value === "" ? null : Number(event.target.value));
    return field(name, element("input", { type: "number", step: "1", value, "data-name": name, oninput: typed }));
  }

  function lettered(place) {
    const area = areas[place];
    const options = grammar.aligns.map(([code, text]) => element("option", { value: code, selected: code === (area.align ?? "left") }, text));
    return [
      number(place, "size", grammar.size),
      field("color", element("input", { type: "color", value: area.color ?? grammar.color, oninput: (event) => set(place, "color", event.target.value) })),
      field("align", element("select", { onchange: (event) => set(place, "align", event.target.value) }, ...options)),
      field("bold", element("input", { type: "checkbox", checked: area.bold === true, onchange: (event) => set(place, "bold", event.target.checked) })),
    ];
  }

  function card(area, place) {
    const name = `${place + 1} ${kinds[area.kind] ?? area.kind ?? "?"}`;
    const head = element("div", { class: "poster-head" }, element("b", {}, name),
      element("button", { type: "button", "aria-label": `${words.remove} ${name}`, onclick: () => remove(place) }, "×"));
    const text = area.kind === "text"
      ? [field("text", element("input", { type: "text", maxlength: "200", value: area.text ?? "", oninput: (event) => set(place, "text", event.target.value) }))]
      : [];
    const letters = !kinds[area.kind] || wordless.includes(area.kind) ? [] : lettered(place);
    return element("div", { class: "poster-card", "data-card": place, onfocusin: () => choose(place) },
      head, ...text,
      element("div", { class: "poster-fields" }, ...["x", "y", "w", "h"].map((one) => number(place, one))),
      element("div", { class: "poster-fields" }, ...letters),
      element("div", { class: "poster-faults", role: "alert" }));
  }

  // The figures of a box that is being moved; the fields stay, or the one somebody types in would be gone.
  function refresh(place) {
    for (const input of list.querySelectorAll(`[data-card="${place}"] input[data-name]`)) {
      if (["x", "y", "w", "h"].includes(input.dataset.name)) input.value = areas[place][input.dataset.name];
    }
  }

  function choose(place) {
    chosen = place;
    mark();
  }

  function mark() {
    for (const box of stage.querySelectorAll("[data-box]")) box.classList.toggle("is-chosen", Number(box.dataset.box) === chosen);
    for (const one of list.querySelectorAll("[data-card]")) one.classList.toggle("is-chosen", Number(one.dataset.card) === chosen);
  }

  function redraw() {
    list.replaceChildren(...areas.map(card));
    drawStage();
    tell();
  }

  function remove(place) {
    areas.splice(place, 1);
    chosen = -1;
    redraw();
    write();
  }

  function add(kind) {
    const side = kind === "code" ? Math.max(grammar.smallest_code, Math.round(size.width / 4)) : 0;
    const [w, h] = side ? [side, side] : [Math.round(size.width / 2), kind === "picture" ? Math.round(size.width / 2) : 80];
    const area = { kind, x: Math.round(size.width / 10), y: 0, w, h };
    const lowest = Math.max(Math.round(size.height / 20), ...areas.map((one) => whole(one.y) + whole(one.h) + 10));
    move(area, area.x, lowest);
    if (!wordless.includes(kind)) Object.assign(area, { size: grammar.size, color: grammar.color, align: "left" });
    if (kind === "text") area.text = kinds.text;
    areas.push(area);
    chosen = areas.length - 1;
    redraw();
    write();
    stage.querySelector(`[data-box="${chosen}"]`)?.focus({ preventScroll: true });
  }

  // ── What the server says ─────────────────────────────────────────────────────────────────────────────────────────
  function tell() {
    const line = (fault) => element("p", {}, fault.words);
    part("faults").replaceChildren(...faults.filter((one) => one.place === null).map(line));
    list.querySelectorAll(".poster-faults").forEach((box, place) => {
      const own = faults.filter((one) => one.place === place);
      box.replaceChildren(...own.map(line));
      box.closest("[data-card]").classList.toggle("is-wrong", own.length > 0);
      stage.querySelector(`[data-box="${place}"]`)?.classList.toggle("is-wrong", own.length > 0);
    });
  }

  async function preview() {
    const turn = ++asked;
    try {
      const answer = await fetch(editor.dataset.preview, { method: "POST", body: new FormData(form), credentials: "same-origin" });
      if (!answer.ok) throw new Error(answer.status);
      const said = await answer.json();
      if (turn !== asked) return;
      const isOther = said.width && (said.width !== size.width || said.height !== size.height);
      if (said.width) size = { width: said.width, height: said.height };
      faults = said.faults;
      picture.hidden = !said.picture;
      if (said.picture) picture.src = said.picture;
      if (isOther) drawStage();
      tell();
    } catch {
      if (turn === asked) part("faults").replaceChildren(element("p", {}, words.offline));
    }
  }

  function soon() {
    clearTimeout(waiting);
    waiting = setTimeout(preview, PAUSE);
  }

  // ── The beginning ────────────────────────────────────────────────────────────────────────────────────────────────
  function open() {
    const found = read();
    columns.hidden = found === null;
    part("broken")?.remove();
    if (found === null) {
      raw.open = true;
      raw.prepend(element("p", { class: "desk-problem", "data-broken": "" }, words.broken));
      return;
    }
    areas = found;
    chosen = -1;
    redraw();
    soon();
  }

  file?.addEventListener("change", () => {
    const [given] = file.files;
    if (!given) return;
    const reader = new FileReader();
    reader.addEventListener("load", () => {
      background = reader.result;
      drawStage();
      preview();
    });
    reader.readAsDataURL(given);
  });
  part("add").addEventListener("click", () => size.width && add(part("new").value));
  kept.addEventListener("change", open);
  raw.open = false;
  open();
});
