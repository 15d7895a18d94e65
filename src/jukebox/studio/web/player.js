// One take: its waveform, a part of it, the words as they are sung. Another take or level is heard from the same place.

import { fileAddress } from "./api.js";
import { at, make, round, tenths } from "./page.js";
import RegionsPlugin from "./vendor/regions.esm.js";
import SpectrogramPlugin from "./vendor/spectrogram.esm.js";
import TimelinePlugin from "./vendor/timeline.esm.js";
import WaveSurfer from "./vendor/wavesurfer.esm.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Player {
  constructor() {
    this.address = null;
    this.part = null;
    this.words = [];
    this.regions = RegionsPlugin.create();
    this.wave = WaveSurfer.create({
      container: at("wave"),
      height: 110,
      waveColor: colour("--wave"),
      progressColor: colour("--accent"),
      cursorColor: colour("--ink"),
      normalize: true,
      sampleRate: 44100,
      plugins: [this.regions, TimelinePlugin.create({ height: 16, style: { color: colour("--quiet") } })],
    });
    this.regions.enableDragSelection({ color: "rgba(154, 52, 18, 0.18)" });
    this.regions.on("region-created", (region) => {
      for (const other of this.regions.getRegions()) if (other !== region) other.remove();
      this.#choosePart(region);
    });
    this.regions.on("region-updated", (region) => this.#choosePart(region));
    this.wave.on("timeupdate", (seconds) => this.#moved(seconds));
    this.wave.on("ready", () => this.#moved(this.wave.getCurrentTime()));
    for (const event of ["play", "pause", "finish"])
      this.wave.on(event, () => (at("play").textContent = this.wave.isPlaying() ? "Pause" : "Play"));
    at("play").onclick = () => this.toggle();
    at("whole").onclick = () => this.wholeTake();
    at("spectrum-on").onchange = (event) => this.#spectrum(event.target.checked);
  }

  toggle() {
    if (!this.address) return;
    if (this.part && !this.wave.isPlaying()) this.wave.play(this.part.start, this.part.end);
    else this.wave.playPause();
  }

  stop() {
    this.wave.pause();
  }

  // Hear a file; where it is another version of what is heard, the place and the part stay.
  async hear(url, same) {
    const address = url ? fileAddress(url) : null;
    if (address === this.address) return;
    const [seconds, playing] = [this.wave.getCurrentTime(), this.wave.isPlaying()];
    if (!same) this.wholeTake();
    this.address = address;
    at("player").hidden = !address;
    if (!address) {
      this.wave.pause();
      return;
    }
    try {
      await this.wave.load(address);
      if (same && seconds < this.wave.getDuration()) this.wave.setTime(seconds);
      if (playing && same) await this.wave.play();
    } catch (error) {
      if (error.name !== "AbortError" && address === this.address) at("time").textContent = "This file cannot be heard.";
    }
  }

  wholeTake() {
    this.regions.clearRegions();
    this.part = null;
    at("part").textContent = "";
    at("whole").hidden = true;
  }

  // Where the take is gone on from: the end of the chosen part, the cursor where somebody has put it, or the end. With
  // how long that is.
  cut() {
    const duration = this.wave.getDuration();
    if (this.part) return this.#cut(this.part.start, this.part.end);
    const seconds = this.wave.getCurrentTime();
    return seconds > 0.05 && seconds < duration - 0.05 ? this.#cut(0, seconds) : { ...this.#cut(0, duration), end_s: null };
  }

  #cut(start, end) {
    const [start_s, end_s] = [round(start, 3), round(end, 3)];
    return { start_s, end_s, length_s: round(end_s - start_s, 3) };
  }

  // Lyrics with times (`lyrics.json`), or without.
  sing(sung, plain) {
    this.words = [];
    const box = at("lyrics");
    const all = plain ? plain.split("\n").map((line) => make("p", {}, line || "\u00a0")) : [];
    if (!sung) {
      box.replaceChildren(...all);
      return;
    }
    const lines = sung.lines.map((line) => {
      const words = line.words.map((word) => {
        const go = () => this.wave.setTime(word.start_s);
        const span = make("span", { className: "sung", onclick: go, title: tenths(word.start_s) }, word.text);
        this.words.push({ ...word, span });
        return [span, " "];
      });
      return make("p", {}, ...words.flat());
    });
    box.replaceChildren(...lines, make("details", {}, make("summary", {}, "All of its lyrics"), ...all));
  }

  #choosePart(region) {
    if (region.end - region.start < 0.05) {
      region.remove();
      this.wholeTake();
      return;
    }
    this.part = { start: region.start, end: region.end };
    at("part").textContent = `Part ${tenths(region.start)} to ${tenths(region.end)}`;
    at("whole").hidden = false;
  }

  #moved(seconds) {
    at("time").textContent = `${tenths(seconds)} / ${tenths(this.wave.getDuration())}`;
    for (const word of this.words) word.span.classList.toggle("now", word.start_s <= seconds && seconds < word.end_s);
  }

  #spectrum(on) {
    this.shown?.destroy();
    this.shown = null;
    at("spectrum").hidden = !on;
    if (!on) return;
    this.shown = this.wave.registerPlugin(
      SpectrogramPlugin.create({ container: at("spectrum"), height: 180, fftSamples: 1024, scale: "mel", labels: true }),
    );
    if (this.wave.getDecodedData()) this.wave.load(this.address);
  }
}
