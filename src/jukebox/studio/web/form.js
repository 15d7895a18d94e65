// The request on the right: what is sung, how long, in how many takes, and how it is drawn.

import { ask, send, tell } from "./api.js";
import { Beginnings } from "./beginnings.js";
import { at, make, round, show, tenths } from "./page.js";

const UNKNOWN = "unknown";
const DRAWN = ["temperature", "top_p", "guidance", "hop_fraction"];
const number = (id) => (at(id).value.trim() === "" ? null : Number(at(id).value));
const fill = (id, value) => (at(id).value = value ?? "");

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
    this.beginnings = new Beginnings(() => this.#begun());
    this.firstTake = 0;
    this.times = [];
    at("form").onsubmit = (event) => {
      event.preventDefault();
      this.#write();
    };
    at("ask").onclick = () => this.#estimate();
    at("dice").onclick = () => this.#dice();
    at("describe").onclick = () => this.#describe();
    at("description").onkeydown = (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.#describe();
    };
    at("form-new").onclick = () => this.empty();
    at("model").onchange = () => this.#choose(at("model").value).catch((error) => this.#problem(error));
    at("upload").onchange = (event) => this.#upload(event.target.files[0]);
    at("recordings").onchange = () => this.#chooseRecording();
    at("record").onclick = () => this.#record();
    at("words").oninput = () => this.#words();
    for (const id of ["seconds", "total"]) at(id).oninput = () => this.#words();
    for (const kind of ["artists", "genres"]) this.#suggest(kind);
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
    this.#listRecordings();
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
  fill(request) {
    const labels = request.songs?.[0] ?? {};
    fill("description", "");
    show(at("described"), null);
    fill("artist", labels.artist === UNKNOWN ? "" : labels.artist);
    fill("genre", labels.genre === UNKNOWN ? "" : labels.genre);
    const [mixed = {}, ...others] = labels.blend ?? [];
    for (const name of ["artist", "genre"]) fill(`mixed-${name}`, mixed[name]);
    fill("mixed-share", mixed.weight);
    at("mix").open = Boolean(mixed.weight);
    this.otherBlends = others;
    fill("words", labels.lyrics);
    this.times = labels.lyric_times ?? [];
    this.timedWords = labels.lyrics;
    fill("total", labels.total_duration_s);
    fill("offset", labels.offset_s || null);
    fill("seconds", request.seconds);
    fill("takes-wanted", request.takes ?? 1);
    fill("seed", request.seed ?? 0);
    fill("lowest", request.lowest_level ?? 0);
    fill("parallel", request.parallel_windows);
    this.firstTake = request.first_take ?? 0;
    this.otherLevels = request.levels ?? [];
    for (const row of at("levels").rows) {
      const said = this.otherLevels.find((each) => each.level === Number(row.dataset.level)) ?? {};
      for (const name of DRAWN) row.querySelector(`[name=${name}]`).value = said[name] ?? "";
    }
    show(at("estimate"), null);
    this.#problem(null);
    this.#words();
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
    this.fill({ ...song.request, songs: [labels], seconds: round(cut.length_s + 8, 3), takes: song.takes.length, first_take: 0 });
    this.#dice();
    this.beginnings.begin([part(song, take, cut)]);
    this.#from(song, `Goes on from ${song.title}`);
  }

  // Finer levels of a take, with its noise: as if they had been written at once.
  async refine(song, take, cut) {
    await this.#changeModel(song.request.model);
    this.fill({ ...song.request, songs: [song.request.songs[take.song]], seconds: null, takes: 1, first_take: take.take, lowest_level: 0 });
    this.beginnings.begin([part(song, take, cut.part ? cut : { start_s: 0, end_s: null }, [this.model.top])]);
    this.#from(song, `Finer levels of ${song.title}`);
  }

  // One more part of a song of several; the first says the labels, the seed and all else, as in `jukebox join`.
  async addPart(song, take, cut) {
    if (this.beginnings.parts.length) {
      this.beginnings.add(part(song, take, cut));
      fill("seconds", null);
      this.#words();
      at("form-title").textContent = "Joined parts";
      return;
    }
    await this.#changeModel(song.request.model);
    this.fill({ ...song.request, songs: [song.request.songs[take.song]], seconds: null, takes: 1, first_take: take.take });
    this.beginnings.begin([part(song, take, cut)]);
    this.#from(song, `A part of ${song.title}`);
  }

  // The same request again, to change something.
  async again(song) {
    await this.#changeModel(song.request.model);
    this.fill(song.request);
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
    const words = at("words").value;
    const labels = {
      artist: at("artist").value.trim() || UNKNOWN,
      genre: at("genre").value.trim() || UNKNOWN,
      lyrics: words,
      total_duration_s: number("total"),
      offset_s: number("offset") ?? 0,
      lyric_times: words === this.timedWords ? this.times : [],
      blend: [...this.#mixed(), ...(this.otherBlends ?? [])],
    };
    return {
      model: at("model").value,
      songs: [labels],
      seconds: number("seconds"),
      takes: number("takes-wanted") ?? 1,
      first_take: this.firstTake,
      seed: number("seed") ?? 0,
      levels: this.#levels(),
      lowest_level: Number(at("lowest").value || 0),
      parallel_windows: number("parallel"),
      ...this.beginnings.request(),
    };
  }

  // Another artist or genre whose share is added: none where neither is named.
  #mixed() {
    const [artist, genre] = ["mixed-artist", "mixed-genre"].map((id) => at(id).value.trim() || null);
    return artist || genre ? [{ artist, genre, weight: number("mixed-share") ?? 0.5 }] : [];
  }

  #levels() {
    const said = [];
    for (const row of at("levels").rows) {
      const level = Number(row.dataset.level);
      const other = this.otherLevels?.find((each) => each.level === level) ?? { level };
      const drawn = Object.fromEntries(
        DRAWN.map((name) => [name, row.querySelector(`[name=${name}]`).value.trim()]).map(([name, text]) => [name, text === "" ? null : Number(text)]),
      );
      const settings = { ...other, ...drawn };
      if (Object.entries(settings).some(([name, value]) => name !== "level" && value !== null && value !== false)) said.push(settings);
    }
    return said;
  }

  async #choose(name) {
    const model = (this.model = await tell("/api/model", { model: name }));
    this.beginnings.top = model.top;
    at("lyrics-field").hidden = !model.sings;
    const finest = Math.min(...model.levels.map((each) => each.level));
    at("lowest").replaceChildren(
      ...[...model.levels].reverse().map(({ level }) =>
        make("option", { value: level }, level === finest ? `level ${level}: the whole sound` : level === model.top ? `level ${level}: a sketch` : `level ${level}`),
      ),
    );
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
    this.#words();
    for (const kind of ["artists", "genres"]) this.#names(kind);
  }

  #suggest(kind) {
    let waiting;
    for (const id of [kind.slice(0, -1), `mixed-${kind.slice(0, -1)}`]) {
      at(id).oninput = () => {
        clearTimeout(waiting);
        waiting = setTimeout(() => this.#names(kind, at(id).value), 150);
      };
      at(id).onfocus = () => this.#names(kind, at(id).value);
    }
  }

  async #names(kind, text = at(kind.slice(0, -1)).value) {
    const names = await tell(`/api/names/${kind}`, { model: this.model.name, text }).catch(() => []);
    at(kind).replaceChildren(...names.map((name) => make("option", { value: name })));
  }

  #words() {
    const [words, seconds] = [at("words").value, number("total") ?? number("seconds")];
    const said = [];
    if (this.model?.sings && words.trim() && seconds) said.push(`${(words.length / seconds).toFixed(1)} characters a second`);
    const { min_total_s: least, max_total_s: most } = this.model ?? {};
    if (number("total") !== null && least && (number("total") < least || number("total") >= most)) said.push(`the model knows songs of ${round(least, 1)} to ${round(most, 1)} seconds`);
    show(at("words-note"), said.join("; "));
    clearTimeout(this.reading);
    if (this.model?.sings && words) this.reading = setTimeout(() => this.#asRead(words, said), 400);
  }

  // Artist and genre that come nearest to a description; others that are near are a click away.
  async #describe() {
    this.#problem(null);
    show(at("described"), null);
    try {
      const found = await ask("/api/describe", { model: this.model.name, text: at("description").value });
      for (const name of ["artist", "genre"]) fill(name, found[name] === UNKNOWN ? "" : found[name]);
      const others = found.others.map((genre) => make("button", { type: "button", className: "plain", onclick: () => fill("genre", genre) }, genre));
      at("described").hidden = false;
      at("described").replaceChildren(`by: ${found.because.join(", ")}`, ...(others.length ? ["; near it: ", ...others] : []));
    } catch (error) {
      this.#problem(error);
    }
  }

  // Characters that the model cannot read are said, not dropped in silence.
  async #asRead(words, said) {
    const { lyrics } = await ask("/api/lyrics", { model: this.model.name, lyrics: words }).catch(() => ({ lyrics: words }));
    const lost = [...new Set(words)].filter((character) => character.trim() && !lyrics.toLowerCase().includes(character.toLowerCase()));
    if (lost.length && words === at("words").value) show(at("words-note"), [...said, `read otherwise: ${lost.join(" ")}`].join("; "));
  }

  #begun() {
    if (this.beginnings.empty) this.firstTake = 0;
    at("seconds").placeholder = this.beginnings.parts.length ? "as its parts" : "";
  }

  #dice() {
    fill("seed", Math.floor(Math.random() * 1_000_000));
  }

  async #listRecordings(chosen = null) {
    const found = await tell("/api/recordings").catch(() => []);
    const shown = found.map(({ name, duration_s }) => make("option", { value: name }, `${name} (${tenths(duration_s)})`));
    at("recordings").replaceChildren(make("option", { value: "" }, "Recordings here…"), ...shown);
    at("recordings").hidden = !found.length;
    if (chosen) at("recordings").value = chosen;
  }

  #chooseRecording() {
    const name = at("recordings").value;
    if (!name) return;
    this.firstTake = 0;
    this.beginnings.begin([], { recording: name, start_s: 0, duration_s: null });
    at("form-title").textContent = `Begins with ${name}`;
  }

  async #upload(file) {
    if (!file) return;
    this.#problem(null);
    try {
      const { name } = await send(file.name, file);
      await this.#listRecordings(name);
      this.#chooseRecording();
    } catch (error) {
      this.#problem(error);
    }
    at("upload").value = "";
  }

  async #record() {
    if (this.recorder) {
      this.recorder.stop();
      return;
    }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const pieces = [];
      this.recorder = new MediaRecorder(stream);
      this.recorder.ondataavailable = (event) => pieces.push(event.data);
      this.recorder.onstop = () => {
        for (const track of stream.getTracks()) track.stop();
        const ending = this.recorder.mimeType.includes("mp4") ? "m4a" : this.recorder.mimeType.includes("ogg") ? "ogg" : "webm";
        this.recorder = null;
        at("record").textContent = "Record";
        this.#upload(new File(pieces, `recorded.${ending}`));
      };
      this.recorder.start();
      at("record").textContent = "Stop recording";
    } catch (error) {
      this.recorder = null;
      this.#problem(new Error(`Nothing can be recorded here (${error.message}).`));
    }
  }

  async #write() {
    this.#problem(null);
    at("write").disabled = true;
    try {
      const name = at("name").value.trim() || at("artist").value.trim() || "song";
      const begun = await ask("/api/songs", { request: this.request(), name });
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
