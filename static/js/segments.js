// The builder of a segment: groups and conditions as boxes, their JSON in the form, and what the server says of it.
// Which kinds there are and what each asks for comes from the server; here is only how each sort of field is drawn.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const box = document.querySelector("[data-segment]");
  if (!box) return;
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const { kinds, matches, most_depth: mostDepth, words } = read("segment-grammar");
  const names = read("segment-names"); // table → code → name
  const kindOf = Object.fromEntries(kinds.map((kind) => [kind.code, kind]));
  const form = box.closest("form");
  const kept = box.querySelector("textarea");
  const root = JSON.parse(kept.value);
  const PAUSE = 350; // ms without a key

  // ── Small parts ──────────────────────────────────────────────────────────────────────────────────────────────────
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

  function select(choices, chosen, change, label) {
    const options = choices.map(([code, text]) => element("option", { value: code, selected: code === chosen }, text));
    return element("select", { "aria-label": label, onchange: (event) => change(event.target.value) }, ...options);
  }

  const button = (text, label, click, name) => element("button", { type: "button", class: name, "aria-label": label, onclick: click }, text);
  const fault = (place) => element("p", { class: "segment-fault", role: "alert", "data-fault": place });

  // A number as typed; what is none is sent as it stands, and the server says what is wrong with it.
  function number(typed, factor) {
    const text = typed.trim();
    if (text === "") return undefined;
    if (factor === 1) return /^\d{1,15}$/.test(text) ? Number(text) : text;
    const found = /^(\d{1,12})(?:\.(\d{1,2}))?$/.exec(text);
    return found ? Number(found[1]) * 100 + Number((found[2] ?? "").padEnd(2, "0")) : text;
  }

  function typed(value, factor) {
    if (typeof value !== "number") return value ?? "";
    return factor === 1 ? String(value) : String(value / factor);
  }

  function put(target, name, value) {
    if (value === undefined) delete target[name];
    else target[name] = value;
    changed();
  }

  // ── Fields, by their sort ────────────────────────────────────────────────────────────────────────────────────────
  const draw = {
    whole: (field, said) => numeric(field, said, 1, field.unit),
    yuan: (field, said) => numeric(field, said, 100, words.yuan),

    choice(field, said) {
      const chosen = (value) => { said[field.name] = value; drop(said); redraw(); };
      return [select(field.choices, said[field.name], chosen, field.label)];
    },

    choices(field, said) {
      const chosen = new Set(said[field.name] ?? []);
      return field.choices.map(([code, text]) => {
        const tick = element("input", {
          type: "checkbox", value: code, checked: chosen.has(code),
          onchange: (event) => {
            chosen[event.target.checked ? "add" : "delete"](code);
            put(said, field.name, chosen.size ? [...chosen] : undefined);
          },
        });
        return element("label", { class: "segment-tick" }, tick, text);
      });
    },

    codes(field, said) {
      const chips = element("span", { class: "segment-chips" });
      const found = element("div", { class: "segment-choices" });
      const search = element("input", { type: "search", placeholder: words.search, "aria-label": field.label, autocomplete: "off" });
      const choose = (codes) => { put(said, field.name, codes.length ? codes : undefined); show(); };
      function show() {
        const codes = said[field.name] ?? [];
        chips.replaceChildren(...codes.map((code) => {
          const name = names[field.of]?.[code] ?? code;
          const remove = button("×", `${words.remove} ${name}`, () => choose(codes.filter((one) => one !== code)));
          return element("span", { class: "segment-chip" }, name, remove);
        }));
      }
      function add(code, name) {
        (names[field.of] ??= {})[code] = name;
        choose([...new Set([...(said[field.name] ?? []), code])]);
        search.value = "";
        found.replaceChildren();
        search.focus();
      }
      let turn = 0;
      async function look() {
        const mine = ++turn;
        const query = new URLSearchParams({ of: field.of, term: search.value, brand: brand() });
        const answer = await fetch(`${box.dataset.values}?${query}`, { credentials: "same-origin" }).catch(() => null);
        if (mine !== turn || !answer?.ok) return;
        const { results } = await answer.json();
        const rows = results.map(([code, name]) => {
          const text = name === code ? code : `${name}（${code}）`;
          return element("button", { type: "button", onclick: () => add(code, name) }, text);
        });
        found.replaceChildren(...(rows.length ? rows : [element("p", {}, words.nothing)]));
      }
      let waiting;
      search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(look, PAUSE); });
      search.addEventListener("click", look);
      search.addEventListener("keydown", (event) => {
        if (event.key === "Escape") found.replaceChildren();
        if (event.key !== "Enter") return;
        event.preventDefault(); // it would send the whole form
        found.querySelector("button")?.click();
      });
      const whole = element("span", { class: "segment-codes" }, chips, search, found);
      whole.addEventListener("focusout", (event) => {
        if (!whole.contains(event.relatedTarget)) setTimeout(() => found.replaceChildren(), 200);
      });
      show();
      return [whole];
    },

    window(field, said) {
      const value = said[field.name];
      const sort = !value ? "ever" : "last" in value ? value.unit : "days";
      const sorts = [["month", words.month], ["day", words.day]];
      if (field.may_be_days) sorts.push(["days", words.days]);
      if (!field.is_required) sorts.push(["ever", words.ever]);
      const chosen = (next) => {
        if (next === "ever") delete said[field.name];
        else said[field.name] = next === "days" ? { from: "", to: "" } : { last: value?.last ?? field.usual[0], unit: next };
        redraw();
      };
      const parts = [select(sorts, sort, chosen, field.label)];
      if (sort === "day" || sort === "month") {
        const count = (event) => { value.last = number(event.target.value, 1) ?? ""; changed(); };
        parts.push(element("input", { inputmode: "numeric", value: value.last, "aria-label": field.label, oninput: count }));
      }
      if (sort === "days") {
        for (const end of ["from", "to"]) {
          const pick = (event) => { value[end] = event.target.value; changed(); };
          parts.push(element("input", { type: "date", value: value[end], "aria-label": words[end], oninput: pick }));
        }
      }
      return parts;
    },
  };

  function numeric(field, said, factor, unit) {
    const type = (event) => put(said, field.name, number(event.target.value, factor));
    const value = typed(said[field.name], factor);
    return [element("input", { inputmode: factor === 1 ? "numeric" : "decimal", value, "aria-label": field.label, oninput: type }), unit];
  }

  // ── Conditions and groups ────────────────────────────────────────────────────────────────────────────────────────
  const isAsked = (field, said) => !field.asked_where || field.asked_where[1].includes(said[field.asked_where[0]]);

  // What is not asked any more is not said.
  function drop(said) {
    for (const field of kindOf[said.kind].fields) {
      if (!isAsked(field, said)) delete said[field.name];
      else if (field.type === "window" && field.is_required) said[field.name] ??= usual(field);
    }
  }

  const usual = (field) => ({ last: field.usual[0], unit: field.usual[1] });

  function fresh(kind) {
    const said = { kind: kind.code };
    for (const field of kind.fields) {
      if (field.type === "choice") said[field.name] = field.choices[0][0];
      if (field.type === "window" && isAsked(field, said)) said[field.name] = usual(field);
    }
    drop(said);
    return said;
  }

  function drawField(field, said, place) {
    const isLabelled = field.type === "codes" || field.type === "choices";
    const label = isLabelled ? [element("label", {}, field.label)] : [];
    const line = element("div", { class: "segment-line" }, ...draw[field.type](field, said));
    return element("div", { class: "segment-field" }, ...label, line, fault(`${place}.${field.name}`));
  }

  function drawCondition(said, place, remove) {
    const kind = kindOf[said.kind];
    if (!kind) return element("div", { class: "segment-condition" }, element("b", {}, String(said.kind)), remove, fault(`${place}.kind`));
    const asked = kind.fields.filter((field) => isAsked(field, said));
    const fields = asked.filter((field) => !field.is_further).map((field) => drawField(field, said, place));
    const further = asked.filter((field) => field.is_further);
    if (further.length) {
      const isOpen = further.some((field) => field.name in said);
      const inside = element("div", { class: "segment-fields" }, ...further.map((field) => drawField(field, said, place)));
      fields.push(element("details", { class: "segment-more", open: isOpen }, element("summary", {}, words.further), inside));
    }
    return element("div", { class: "segment-condition" },
      element("b", {}, kind.title), element("div", { class: "segment-fields" }, ...fields), remove, fault(place));
  }

  function adder(group) {
    const headings = new Map();
    for (const kind of kinds) headings.set(kind.heading, [...(headings.get(kind.heading) ?? []), kind]);
    const groups = [...headings].map(([heading, several]) =>
      element("optgroup", { label: heading }, ...several.map((kind) => element("option", { value: kind.code }, kind.title))));
    const add = (event) => { group.of.push(fresh(kindOf[event.target.value])); redraw(); };
    return element("select", { class: "segment-add", "aria-label": words.add, onchange: add },
      element("option", { value: "" }, words.add), ...groups);
  }

  function drawGroup(group, place, depth, remove) {
    const at = (index) => (place ? `${place}.of.${index}` : `of.${index}`);
    const parts = group.of.map((part, index) => {
      const out = button("✕", words.remove, () => { group.of.splice(index, 1); redraw(); }, "segment-remove");
      return part && "kind" in part ? drawCondition(part, at(index), out) : drawGroup(part, at(index), depth + 1, out);
    });
    const match = select(matches, group.match, (value) => { group.match = value; changed(); }, words.group);
    const foot = element("div", { class: "segment-foot" }, adder(group));
    if (depth < mostDepth) {
      foot.append(button(words.add_group, words.add_group, () => { group.of.push({ match: "any", of: [] }); redraw(); }, "desk-button desk-button-plain"));
    }
    const head = element("div", { class: "segment-head" }, words.group, match, ...(remove ? [remove] : []));
    return element("div", { class: "segment-group" }, head, fault(place), ...parts, foot);
  }

  function redraw() {
    box.querySelector("[data-builder]").replaceChildren(drawGroup(root, "", 1, null));
    changed();
  }

  // ── What the server says ─────────────────────────────────────────────────────────────────────────────────────────
  const brand = () => form.elements.of_brand?.value ?? form.elements.brand?.value ?? "";
  let waiting;
  let asked = 0;

  function changed() {
    kept.value = JSON.stringify(root);
    clearTimeout(waiting);
    waiting = setTimeout(ask, PAUSE);
  }

  async function ask() {
    const turn = ++asked;
    const found = box.querySelector("[data-found]");
    if (!root.of.length) { // nobody is blamed for an empty page
      box.querySelector("[data-sentence]").textContent = "";
      found.replaceChildren();
      return blame([]);
    }
    found.setAttribute("aria-busy", "true");
    const answer = await fetch(box.dataset.preview, { method: "POST", body: new FormData(form), credentials: "same-origin" }).catch(() => null);
    const isTold = answer?.ok && answer.headers.get("Content-Type")?.startsWith("application/json"); // not a page to sign in
    const told = isTold ? await answer.json() : { sentence: words.offline, faults: [], html: "" };
    if (turn !== asked) return;
    found.removeAttribute("aria-busy");
    box.querySelector("[data-sentence]").textContent = told.sentence;
    found.innerHTML = told.html; // escaped by the server's template
    blame(told.faults);
  }

  // Beside its field; what has no field of its own stands at the next larger box.
  function blame(faults) {
    const places = new Map([...box.querySelectorAll("[data-fault]")].map((one) => [one.dataset.fault, one]));
    for (const one of places.values()) one.textContent = "";
    for (const { place, words: said } of faults) {
      let where = place;
      while (where && !places.has(where)) where = where.includes(".") ? where.slice(0, where.lastIndexOf(".")) : "";
      const shown = places.get(where);
      if (shown && !shown.textContent.includes(said)) shown.textContent += said;
    }
  }

  for (const name of ["brand", "is_dormant_only", "rest_days"]) {
    form.elements[name]?.addEventListener("input", changed);
    form.elements[name]?.addEventListener("change", changed);
  }
  redraw();
});
