// The request on the right: what is sung, how long, in how many takes, and how it is drawn.

import { ask, tell } from "./api.js";
import { Beginnings } from "./beginnings.js";
import { Labels } from "./labels.js";
import { Levels } from "./levels.js";
import { at, fill, make, number, round, show } from "./page.js";
import { Recordings } from "./recordings.js";

// The cut of a take as a part that a song begins with.
const part = (song, take, { start_s, end_s }, levels = null) => ({
  source: song.name,
  item: take.name,
  levels,
  start_s,
  duration_s: end_s === null ? null : round(end_s - start_s, 3),
});

export class Form {
  constructor(written) {
    this.written = written;
    this.model = null;
    this.firstTake = 0;
    const problem = (error) => this.#problem(error);
    this.labels = new Labels(problem);
    this.levels = new Levels();
    this.beginnings = new Beginnings(() => this.#begun());
    this.recordings = new Recordings((name) => this.#beginWith(name), problem);
    at("form").onsubmit = (event) => {
      event.preventDefault();
      this.#write();
    };
    at("ask").onclick = () => this.#estimate();
    at("dice").onclick = () => this.#dice();
    at("form-new").onclick = () => this.empty();
    at("model").onchange = () => this.#choose(at("model").value).catch(problem);
  }

  // The models that are offered; the first one's own song fills the form.
  async offer(names) {
    if (this.offered === names.join()) return;
    this.offered = names.join();
    at("model").replaceChildren(...names.map((name) => make("option", { value: name }, name)));
    if (!names.length) {
      this.#problem(new Error("There is no model here; start the studio with --model, or download one."));
      return;
    }
    await this.#choose(names[0]);
    await this.empty(true);
    this.recordings.list();
  }

  // A new song: the model's own (at the beginning), or without words.
  async empty(usual = false) {
    const known = this.model?.usual;
    this.beginnings.begin([]);
    this.fill({ ...known, songs: usual ? known.songs : [{}], seed: 0, takes: 1, lowest_level: 0, parallel_windows: null, levels: [] });
    this.#dice();
    at("form-title").textContent = "New song";
    fill("name", "");
  }

  // Fill the form with a request.
  fill(request, keep = false) {
    this.labels.fill(request.songs?.[0] ?? {}, keep);
    fill("seconds", request.seconds);
    fill("takes-wanted", request.takes ?? 1);
    fill("seed", request.seed ?? 0);
    fill("lowest", request.lowest_level ?? 0);
    fill("parallel", request.parallel_windows);
    at("follow").checked = request.follow_lyrics ?? false;
    this.firstTake = request.first_take ?? 0;
    this.levels.fill(request.levels ?? []);
    show(at("estimate"), null);
    this.#problem(null);
    this.labels.note();
  }

  async #changeModel(name) {
    if (name !== this.model?.name && [...at("model").options].some((option) => option.value === name)) {
      at("model").value = name;
      await this.#choose(name);
    }
  }

  // Go on from a take: from the cut, another way each time.
  async goOn(song, take, cut) {
    await this.#changeModel(song.request.model);
    const labels = song.request.songs[take.song];
    this.fill({ ...song.request, songs: [labels], seconds: round(cut.length_s + 8, 3), takes: song.takes.length, first_take: 0 }, true);
    this.#dice();
    this.beginnings.begin([part(song, take, cut)]);
    this.#from(song, `Goes on from ${song.title}`);
  }

  // Finer levels of a take, with its noise: as if they had been written at once.
  async refine(song, take, cut) {
    await this.#changeModel(song.request.model);
    this.fill({ ...song.request, songs: [song.request.songs[take.song]], seconds: null, takes: 1, first_take: take.take, lowest_level: 0 }, true);
    this.beginnings.begin([part(song, take, cut.part ? cut : { start_s: 0, end_s: null }, [this.model.top])]);
    this.#from(song, `Finer levels of ${song.title}`);
  }

  // One more part of a song of several; the first says the labels, the seed and all else, as in `jukebox join`.
  async addPart(song, take, cut) {
    if (this.beginnings.parts.length) {
      this.beginnings.add(part(song, take, cut));
      fill("seconds", null);
      this.labels.note();
      at("form-title").textContent = "Joined parts";
      return;
    }
    await this.#changeModel(song.request.model);
    this.fill({ ...song.request, songs: [song.request.songs[take.song]], seconds: null, takes: 1, first_take: take.take }, true);
    this.beginnings.begin([part(song, take, cut)]);
    this.#from(song, `A part of ${song.title}`);
  }

  // The same request again, to change something.
  async again(song) {
    await this.#changeModel(song.request.model);
    this.fill(song.request, true);
    const { given, joined, prime } = song.request;
    const sources = given ? [song.parent, ...song.joined] : [];
    const here = sources.every((source) => source !== null);
    const recording = prime ? { ...prime, recording: prime.recording.split(/[\\/]/).pop() } : null;
    this.beginnings.begin(here ? sources.map((source, index) => ({ ...[given, ...joined][index], source })) : [], recording);
    this.#from(song, `Like ${song.title}`);
    if (!here) this.#problem(new Error("What it began with is not in this folder; choose another beginning."));
  }

  #from(song, title) {
    at("form-title").textContent = title;
    fill("name", song.title.replace(/_\d+$/, ""));
    at("form").scrollIntoView({ block: "nearest" });
    at("write").focus({ preventScroll: true });
  }

  request() {
    if (number("seconds") === null && !this.beginnings.parts.length) throw new Error("How many seconds? Fill in Seconds.");
    const { backwards } = this.beginnings;
    if (backwards) throw new Error(`“${backwards}” ends where it begins or before: correct its seconds.`);
    return {
      model: at("model").value,
      songs: [this.labels.said()],
      seconds: number("seconds"),
      takes: number("takes-wanted") ?? 1,
      first_take: this.firstTake,
      seed: number("seed") ?? 0,
      levels: this.levels.said(),
      lowest_level: Number(at("lowest").value || 0),
      parallel_windows: number("parallel"),
      follow_lyrics: at("follow").checked && !at("follow-field").hidden,
      ...this.beginnings.request(),
    };
  }

  async #choose(name) {
    this.model = await tell("/api/model", { model: name });
    this.beginnings.top = this.model.top;
    this.levels.offer(this.model);
    this.labels.offer(this.model);
  }

  #begun() {
    if (this.beginnings.empty) this.firstTake = 0;
    this.recordings?.show(this.beginnings.request().prime?.recording);
    at("seconds").placeholder = this.beginnings.parts.length ? "as its parts" : "";
  }

  #dice() {
    fill("seed", Math.floor(Math.random() * 1_000_000));
  }

  #beginWith(recording) {
    this.firstTake = 0;
    this.beginnings.begin([], { recording, start_s: 0, duration_s: null });
    at("form-title").textContent = `Begins with ${recording}`;
  }

  async #write() {
    this.#problem(null);
    at("write").disabled = true;
    try {
      const name = at("name").value.trim() || at("artist").value.trim() || "song";
      const begun = await ask("/api/songs", { request: this.request(), name });
      this.labels.written();
      this.written(begun.name);
    } catch (error) {
      this.#problem(error);
    }
    at("write").disabled = false;
  }

  async #estimate() {
    this.#problem(null);
    show(at("estimate"), "Some steps are measured…");
    try {
      show(at("estimate"), await ask("/api/estimate", { request: this.request() }));
    } catch (error) {
      show(at("estimate"), null);
      this.#problem(error);
    }
  }

  #problem(error) {
    show(at("form-problem"), error?.message);
  }
}
