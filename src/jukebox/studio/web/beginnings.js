// What a song begins with: parts of songs, one after another, or a recording; each with its seconds and a way to drop it.

import { at, make, round } from "./page.js";

const seconds = (input) => (input.value.trim() === "" ? null : Number(input.value));

export class Beginnings {
  #rows = [];

  // `changed` is called when a part has come or gone.
  constructor(changed) {
    this.changed = changed;
    this.top = null; // the coarsest level of the model
    at("anew").onchange = () => this.#writeAnew(at("anew").checked);
  }

  // Parts as in a request, with songs of the shelf as their sources; or a recording.
  begin(parts, recording = null) {
    const given = parts.map((part) => this.#row(part, `${part.item ?? "all takes"} of ${part.source}`));
    this.#rows = recording ? [this.#row(recording, recording.recording)] : given;
    this.#draw();
  }

  // Where parts meet their finer levels may click: they are written anew, unless that is unchecked.
  add(part) {
    const parts = this.parts;
    this.begin([...parts, { ...part, levels: parts[0].levels }]);
    if (parts.length === 1) this.#writeAnew(true);
  }

  get parts() {
    return this.#said().filter((each) => each.source !== undefined);
  }

  get empty() {
    return this.#rows.length === 0;
  }

  // The name of a part that ends where it begins or before; none where every one has some seconds.
  get backwards() {
    const row = this.#rows.find(({ start, end }) => seconds(end) !== null && seconds(end) <= (seconds(start) ?? 0));
    return row?.chip.firstChild.title;
  }

  // The fields of a request.
  request() {
    const [given = null, ...joined] = this.parts;
    const prime = this.#said().find((each) => each.recording !== undefined) ?? null;
    return { given, joined, prime };
  }

  #said() {
    return this.#rows.map(({ part, start, end }) => {
      const start_s = seconds(start) ?? 0;
      return { ...part, start_s, duration_s: seconds(end) === null ? null : round(seconds(end) - start_s, 6) };
    });
  }

  #row(part, what) {
    const from = part.start_s || null;
    const to = part.duration_s === null || part.duration_s === undefined ? null : round((from ?? 0) + part.duration_s, 6);
    const place = (label, value) => {
      const input = make("input", { type: "number", min: "0", step: "any", value: value ?? "", title: label });
      input.setAttribute("aria-label", `${what}: ${label}`);
      return input;
    };
    const row = { part, start: place("from second", from), end: place("to second", to) };
    const drop = make("button", { type: "button", className: "plain", onclick: () => this.#drop(row) }, "×");
    drop.setAttribute("aria-label", `${what}: do not begin with it`);
    row.chip = make("div", { className: "chip" }, make("span", { title: what }, what), row.start, "–", row.end, drop);
    return row;
  }

  #drop(row) {
    this.#rows = this.#rows.filter((each) => each !== row);
    this.#draw();
  }

  #writeAnew(anew) {
    for (const row of this.#rows) row.part = { ...row.part, levels: anew ? [this.top] : null };
    at("anew").checked = anew;
  }

  #draw() {
    const parts = this.parts;
    at("beginnings").replaceChildren(...this.#rows.map((row) => row.chip));
    at("beginnings").hidden = this.empty;
    at("anew-field").hidden = !parts.length;
    at("anew").checked = parts.length > 0 && parts.every(({ levels }) => levels?.length === 1 && levels[0] === this.top);
    this.changed();
  }
}
