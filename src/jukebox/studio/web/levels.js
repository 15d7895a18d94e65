// How each level is drawn: a row of numbers for each, empty where the model's usual ones hold.

import { at, make } from "./page.js";

const DRAWN = ["temperature", "top_p", "guidance", "hop_fraction"];

export class Levels {
  #others = [];

  // Rows for the levels of a model, and the choice of the finest one that is written.
  offer(model) {
    const finest = Math.min(...model.levels.map((each) => each.level));
    const name = (level) => (level === finest ? ": the whole sound" : level === model.top ? ": a sketch" : "");
    const before = at("lowest").value;
    at("lowest").replaceChildren(
      ...[...model.levels].reverse().map(({ level }) => make("option", { value: level }, `level ${level}${name(level)}`)),
    );
    // What was chosen while the model was looked up stays.
    if (model.levels.some(({ level }) => String(level) === before)) at("lowest").value = before;
    at("levels").replaceChildren(
      ...model.levels.map((each) => {
        const usual = { ...each.sampling, hop_fraction: each.hop_fraction };
        const cells = DRAWN.map((field) => {
          const input = make("input", { name: field, type: "number", step: "any", min: "0", placeholder: usual[field] ?? "–" });
          input.setAttribute("aria-label", `${field} of level ${each.level}`);
          input.disabled = field === "guidance" && !each.guided;
          return make("td", {}, input);
        });
        return make("tr", { dataset: { level: each.level } }, make("td", {}, String(each.level)), ...cells);
      }),
    );
  }

  fill(settings) {
    this.#others = settings;
    for (const row of at("levels").rows) {
      const said = this.#of(row);
      for (const name of DRAWN) row.querySelector(`[name=${name}]`).value = said[name] ?? "";
    }
  }

  // Settings as in a request: of the levels where something is said, with what else was said of them.
  said() {
    return [...at("levels").rows].flatMap((row) => {
      const drawn = DRAWN.map((name) => [name, row.querySelector(`[name=${name}]`).value.trim()]);
      const numbers = drawn.map(([name, text]) => [name, text === "" ? null : Number(text)]);
      const { level, ...settings } = { ...this.#of(row), ...Object.fromEntries(numbers) };
      return Object.values(settings).some((value) => value !== null && value !== false) ? [{ level, ...settings }] : [];
    });
  }

  #of(row) {
    const level = Number(row.dataset.level);
    return this.#others.find((each) => each.level === level) ?? { level };
  }
}
