// The songs on the left: each below the one that it goes on from.

import { at, make, redraw } from "./page.js";

// What is mixed in, each with its share.
export const mixed = (labels) =>
  (labels.blend ?? []).map(({ artist, genre, weight }) => `with ${[artist, genre].filter(Boolean).join(", ")} ${Math.round(100 * weight)} %`);

function described(song) {
  if (!song.request) return song.problem;
  const labels = song.request.songs[0];
  const words = [labels.artist, labels.genre].filter((name) => name && name !== "unknown");
  words.push(...mixed(labels));
  if (song.request.seconds) words.push(`${song.request.seconds} s`);
  if (song.takes.length > 1) words.push(`${song.takes.length} takes`);
  if (song.request.lowest_level > 0) words.push(`level ${song.request.lowest_level}`);
  const stars = song.takes.filter((take) => take.starred).length;
  return `${"★".repeat(Math.min(stars, 3))}${stars ? " " : ""}${words.join(" · ")}`;
}

export function condition(song, work) {
  if (song.problem || work.problems[song.name]) return ["bad", "cannot go on"];
  if (song.name === work.running) return ["running", work.stopping ? "is being stopped" : "is being written"];
  if (work.queue.includes(song.name)) return ["waiting", `waits: ${work.queue.indexOf(song.name) + 1} in the queue`];
  if (song.finished) return ["finished", "finished"];
  const { level, codes, of } = song.status;
  return ["unfinished", of ? `not finished: level ${level}, ${Math.floor((100 * codes) / of)} %` : "not begun"];
}

export function drawTree(state, chosen, choose) {
  const wanted = at("filter").value.trim().toLowerCase();
  const matches = (song) => `${song.title} ${song.name} ${described(song)}`.toLowerCase().includes(wanted);
  const songs = wanted ? state.songs.filter(matches) : state.songs;
  const names = new Set(songs.map((song) => song.name));
  const shown = songs.map((song) => [song.name, song.title, song.parent, ...condition(song, state.work), described(song)]);
  const below = (parent) =>
    songs.filter((song) => (names.has(song.parent) && song.parent !== song.name ? song.parent : null) === parent);
  const seen = new Set();

  function branch(song) {
    seen.add(song.name);
    const [kind, words] = condition(song, state.work);
    const button = make(
      "button",
      { type: "button", onclick: () => choose(song.name), title: words, dataset: { key: song.name } },
      make("span", { className: `dot ${kind}` }),
      song.title,
      make("span", { className: "quiet" }, kind === "finished" ? described(song) : `${words} · ${described(song)}`),
    );
    button.setAttribute("aria-current", String(song.name === chosen));
    const children = below(song.name).filter((child) => !seen.has(child.name));
    return make("li", {}, button, children.length ? make("ul", {}, ...children.map(branch)) : null);
  }

  redraw(at("tree"), [chosen, shown], () => below(null).map(branch));
}

export function drawRemoved(state, restore) {
  const box = at("removed");
  box.hidden = !state.removed.length;
  box.querySelector("summary").textContent = `Removed: ${state.removed.length}`;
  redraw(box.querySelector("ul"), state.removed, () =>
    state.removed.map((name) => {
      const back = make("button", { className: "plain", onclick: () => restore(name), dataset: { key: name } }, "Put back");
      return make("li", { className: "row" }, make("span", {}, name), back);
    }),
  );
}
