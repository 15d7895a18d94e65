// What is sung: artist, genre, what is mixed in, and the words; names are looked up, a description chooses them.

import { ask, tell } from "./api.js";
import { asLrc, withoutTimes } from "./lrc.js";
import { at, fill, make, number, round, show } from "./page.js";

const UNKNOWN = "unknown";
const KINDS = ["artist", "genre"];

export class Labels {
  #given = { lyrics: "", lyric_times: [] }; // what the words were filled with, and how that is shown
  #shown = "";
  #saved = ""; // words that a song has already: others are a person's own
  #kept = false;
  #otherBlends = [];

  // `problem` is called with an error, or null before something is tried.
  constructor(problem) {
    this.problem = problem;
    this.model = null;
    at("describe").onclick = () => this.#describe();
    at("description").onkeydown = (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.#describe();
    };
    for (const id of ["words", "seconds", "total"]) at(id).oninput = () => this.note();
    for (const kind of KINDS) this.#suggest(kind);
  }

  offer(model) {
    this.model = model;
    at("lyrics-field").hidden = !model.sings;
    at("follow-field").hidden = !model.follows;
    this.note();
    for (const kind of KINDS) this.#names(kind, at(kind).value);
  }

  // Words that a person has typed stay where `keep` says so, with the length of their song.
  fill(labels, keep = false) {
    fill("description", "");
    show(at("described"), null);
    for (const kind of KINDS) fill(kind, labels[kind] === UNKNOWN ? "" : labels[kind]);
    const [mixed = {}, ...others] = labels.blend ?? [];
    for (const kind of KINDS) fill(`mixed-${kind}`, mixed[kind]);
    fill("mixed-share", mixed.weight);
    at("mix").open = Boolean(mixed.weight);
    this.#otherBlends = others;
    const { lyrics = "", lyric_times = [] } = labels;
    const [typed, shown] = [at("words").value, asLrc(lyrics, lyric_times)];
    this.#kept = keep && Boolean(typed.trim()) && ![this.#saved, shown].includes(typed);
    if (!this.#kept) {
      fill("words", shown);
      this.#shown = this.#saved = at("words").value;
      this.#given = { lyrics, lyric_times };
      fill("total", labels.total_duration_s);
    }
    fill("offset", labels.offset_s || null);
    this.note();
  }

  // A song has the words now.
  written() {
    this.#saved = at("words").value;
    this.#kept = false;
    this.note();
  }

  // As in a request; words that were not touched keep their times to the last digit.
  said() {
    const words = at("words").value;
    const [artist, genre] = KINDS.map((kind) => at(`mixed-${kind}`).value.trim() || null);
    if (!artist && !genre && number("mixed-share") !== null)
      throw new Error("There is a share of another, but no name: say which artist or genre is mixed in, or empty the share.");
    const mixed = artist || genre ? [{ artist, genre, weight: number("mixed-share") ?? 0.5 }] : [];
    return {
      artist: at("artist").value.trim() || UNKNOWN,
      genre: at("genre").value.trim() || UNKNOWN,
      ...(words === this.#shown ? this.#given : { lyrics: words, lyric_times: [] }),
      total_duration_s: number("total"),
      offset_s: number("offset") ?? 0,
      blend: [...mixed, ...this.#otherBlends],
    };
  }

  // How many words there are for the time, and what the model cannot read or does not know.
  note() {
    const [words, seconds] = [withoutTimes(at("words").value), number("total") ?? number("seconds")];
    const said = this.#kept ? ["your words are kept"] : [];
    if (this.model?.sings && words.trim() && seconds) said.push(`${(words.length / seconds).toFixed(1)} characters a second`);
    const { min_total_s: least, max_total_s: most } = this.model ?? {};
    const total = number("total");
    if (total !== null && least && (total < least || total >= most)) said.push(`the model knows songs of ${round(least, 1)} to ${round(most, 1)} seconds`);
    show(at("words-note"), said.join("; "));
    clearTimeout(this.reading);
    if (this.model?.sings && words) this.reading = setTimeout(() => this.#asRead(words, said), 400);
  }

  // Characters that the model cannot read are said, not dropped in silence.
  async #asRead(words, said) {
    const { lyrics } = await ask("/api/lyrics", { model: this.model.name, lyrics: words }).catch(() => ({ lyrics: words }));
    const lost = [...new Set(words)].filter((character) => character.trim() && !lyrics.toLowerCase().includes(character.toLowerCase()));
    if (lost.length && words === withoutTimes(at("words").value)) show(at("words-note"), [...said, `read otherwise: ${lost.join(" ")}`].join("; "));
  }

  // Artist and genre that come nearest to a description; others that are near are a click away.
  async #describe() {
    this.problem(null);
    show(at("described"), null);
    try {
      const found = await ask("/api/describe", { model: this.model.name, text: at("description").value });
      for (const kind of KINDS) fill(kind, found[kind] === UNKNOWN ? "" : found[kind]);
      const others = found.others.map((genre) => make("button", { type: "button", className: "plain", onclick: () => fill("genre", genre) }, genre));
      at("described").hidden = false;
      at("described").replaceChildren(`by: ${found.because.join(", ")}`, ...(others.length ? ["; near it: ", ...others] : []));
    } catch (error) {
      this.problem(error);
    }
  }

  #suggest(kind) {
    let waiting;
    for (const id of [kind, `mixed-${kind}`]) {
      at(id).oninput = () => {
        clearTimeout(waiting);
        waiting = setTimeout(() => this.#names(kind, at(id).value), 150);
      };
      at(id).onfocus = () => this.#names(kind, at(id).value);
    }
  }

  async #names(kind, text) {
    if (!this.model) return;
    const names = await tell(`/api/names/${kind}s`, { model: this.model.name, text }).catch(() => []);
    at(`${kind}s`).replaceChildren(...names.map((name) => make("option", { value: name })));
  }
}
