// Recordings that a song can begin with: files that are added, or what is sung into the microphone.

import { send, tell } from "./api.js";
import { at, make, tenths } from "./page.js";

const ENDINGS = { mp4: "m4a", ogg: "ogg", webm: "webm" };

export class Recordings {
  // `chosen` is called with the name of a recording, `problem` with an error, or null before something is tried.
  constructor(chosen, problem) {
    [this.chosen, this.problem] = [chosen, problem];
    at("upload").onchange = async () => {
      const [file] = at("upload").files;
      if (file) await this.#add(file);
      at("upload").value = "";
    };
    at("recordings").onchange = () => {
      if (at("recordings").value) chosen(at("recordings").value);
    };
    at("record").onclick = () => (this.recorder ? this.recorder.stop() : this.#record());
  }

  async list(chosen = "") {
    const found = await tell("/api/recordings").catch(() => []);
    const shown = found.map(({ name, duration_s }) => make("option", { value: name }, `${name} (${tenths(duration_s)})`));
    at("recordings").replaceChildren(make("option", { value: "" }, "Recordings here…"), ...shown);
    at("recordings").hidden = !found.length;
    at("recordings").value = chosen;
  }

  // The one that the song begins with, if any.
  show(name = "") {
    const here = [...at("recordings").options].some((option) => option.value === name);
    at("recordings").value = here ? name : "";
  }

  async #add(file) {
    this.problem(null);
    try {
      const { name } = await send(file.name, file);
      await this.list(name);
      this.chosen(name);
    } catch (error) {
      this.problem(error);
    }
  }

  async #record() {
    this.problem(null);
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const pieces = [];
      const recorder = (this.recorder = new MediaRecorder(stream));
      recorder.ondataavailable = (event) => pieces.push(event.data);
      recorder.onstop = () => {
        for (const track of stream.getTracks()) track.stop();
        this.recorder = null;
        at("record").textContent = "Record";
        const kind = Object.keys(ENDINGS).find((name) => recorder.mimeType.includes(name)) ?? "webm";
        this.#add(new File(pieces, `recorded.${ENDINGS[kind]}`));
      };
      recorder.start();
      at("record").textContent = "Stop recording";
    } catch (error) {
      this.recorder = null;
      this.problem(new Error(`Nothing can be recorded here (${error.message}).`));
    }
  }
}
