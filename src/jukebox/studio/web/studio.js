// The page: the newest state of the studio, which song and take are looked at, and what is done with them.

import { deed, fileAddress, listen, tell } from "./api.js";
import { Form } from "./form.js";
import { at, make, redraw, show } from "./page.js";
import { Player } from "./player.js";
import { condition, drawRemoved, drawTree, mixed } from "./tree.js";
import { drawWork } from "./work.js";

const player = new Player();
const live = new Audio();
const chosen = { song: null, take: null, level: null };
// What is done with a finished take.
const NEED_A_TAKE = ["longer", "add-part", "finer"].map((id) => [id, at(id).title]);
let state = null;
let shownLyrics = null;

const form = new Form(async (name) => {
  await look();
  choose(name);
});

const song = () => state?.songs.find((each) => each.name === chosen.song);
const take = () => song()?.takes.find((each) => each.name === chosen.take) ?? song()?.takes[0];

const trouble = (error) => show(at("trouble"), error.message);

async function look() {
  const found = await tell("/api/state");
  if (state && found.version < state.version) return; // a newer answer has overtaken it
  state = found;
  show(at("trouble"), null);
  draw();
  await form.offer(state.models);
}

function choose(name, takeName = null) {
  const before = song();
  chosen.song = name;
  chosen.take = takeName ?? (song()?.takes.some((each) => each.name === chosen.take) ? chosen.take : null);
  if (before?.name !== name) {
    chosen.level = null;
    live.pause();
  }
  draw();
}

async function attempt(work) {
  show(at("problem"), null);
  const problem = await Promise.resolve(work()).then(() => null, (error) => error);
  // Also after a mistake: what is shown may be what it came from.
  await look().catch(trouble);
  if (problem) show(at("problem"), problem.message);
}

function draw() {
  if (!state) return;
  at("folder").textContent = state.folder;
  if (!song()) chosen.song = state.songs[0]?.name ?? null;
  const address = `#${encodeURIComponent(chosen.song ?? "")}`;
  if (address !== (location.hash || "#")) location.hash = address;
  drawTree(state, chosen.song, choose);
  drawRemoved(state, (name) => attempt(() => deed(name, "restore")));
  drawWorking();
  const there = song();
  at("empty").hidden = Boolean(there);
  at("detail").hidden = !there;
  if (there) drawSong(there, take());
}

function drawWorking() {
  const { work } = state;
  const running = state.songs.find((each) => each.name === work.running);
  drawWork(work, running?.title ?? work.running, () => attempt(() => deed(work.running, "stop")));
  document.title = work.running ? `… ${running?.title ?? work.running}` : "Jukebox studio";
}

function drawSong(there, heard) {
  const [kind, words] = condition(there, state.work);
  if (document.activeElement !== at("title")) at("title").value = there.title;
  const request = there.request;
  const facts = [words];
  if (request) {
    const labels = request.songs[heard?.song ?? 0];
    facts.push(request.model, labels.artist, labels.genre, ...mixed(labels), `seed ${request.seed}`);
    if (request.seconds) facts.push(`${request.seconds} s`);
    if (there.parent) facts.push(`goes on from ${there.parent}`);
    if (there.joined.length) facts.push(`joined with ${there.joined.map((name) => name ?? "a song from elsewhere").join(", ")}`);
    if (request.prime) facts.push(`begins with ${request.prime.recording.split(/[\\/]/).pop()}`);
  }
  at("facts").textContent = facts.join(" · ");
  show(at("problem"), there.problem ?? state.work.problems[there.name]);
  show(at("said"), state.work.said[there.name]?.join(" "));
  at("go-on").hidden = !["unfinished", "bad"].includes(kind) || Boolean(there.problem);
  at("stop").hidden = !["running", "waiting"].includes(kind);
  at("remove").hidden = ["running", "waiting"].includes(kind);
  drawTakes(there, heard);
  drawSound(there, heard);
  drawLyrics(there, heard);
}

function drawTakes(there, heard) {
  const shown = there.takes.map(({ name, take, starred }) => [name, take, starred]);
  redraw(at("takes"), [there.name, heard?.name, shown], () =>
    there.takes.map((each) => {
      const star = make(
        "button",
        { className: "star", title: "A take that you like", dataset: { key: `star of ${each.name}` }, onclick: () => attempt(() => deed(there.name, "note", { starred: { [each.name]: !each.starred } })) },
        each.starred ? "★" : "☆",
      );
      star.setAttribute("aria-pressed", String(each.starred));
      star.setAttribute("aria-label", `Star ${each.name}`);
      const label = there.takes.length > 1 ? `Take ${each.take}` : "The take";
      const button = make("button", { onclick: () => choose(there.name, each.name), title: each.name, dataset: { key: each.name } }, label);
      button.setAttribute("role", "tab");
      button.setAttribute("aria-selected", String(each === heard));
      return make("div", { className: "take", dataset: { chosen: each === heard } }, button, star);
    }),
  );
}

function drawSound(there, heard) {
  const levels = Object.keys(heard?.sounds ?? {}).map(Number).sort((a, b) => a - b);
  const level = levels.includes(chosen.level) ? chosen.level : levels[0];
  redraw(at("level"), levels, () => levels.map((each) => make("option", { value: each }, `level ${each}`)));
  at("level").value = level ?? "";
  const url = level === undefined ? null : heard.sounds[level];
  const key = `${there.name}/${heard?.name}`;
  // A preview that has grown is taken when nobody listens to the one before; a new take begins where the other was.
  const growing = player.key === key && player.level === level && player.wave.isPlaying();
  if (!growing) {
    const same = player.key?.split("/")[0] === there.name;
    [player.key, player.level] = [key, level];
    player.hear(url, same);
  }
  at("player").hidden = !url;
  at("unheard").hidden = Boolean(url) || !heard;
  at("live").hidden = !(state.work.running === there.name && state.work.live.includes(heard?.name));
  if (at("live").hidden && !live.paused && state.work.running !== there.name && live.ended) live.pause();
  for (const [id, title] of NEED_A_TAKE) {
    at(id).disabled = !heard?.finished;
    at(id).title = heard?.finished ? title : "When the take is finished";
  }
  at("finer").hidden = !there.request || there.request.lowest_level === 0;
  at("again").disabled = !there.request;
  at("stereo").hidden = there.takes.filter((each) => each.finished).length < 2;
  drawWide(there);
  redraw(at("files"), [there.title, heard?.files], () =>
    (heard?.files ?? []).map((file) => {
      const name = file.split("?")[0].split("/").pop();
      return make("a", { href: fileAddress(file), download: `${there.title} ${name}`, dataset: { key: name } }, name);
    }),
  );
}

function drawWide(there) {
  at("wide").hidden = !there.stereo;
  const address = there.stereo ? fileAddress(there.stereo) : "";
  if (at("wide-sound").getAttribute("src") !== address) at("wide-sound").setAttribute("src", address);
}

async function drawLyrics(there, heard) {
  const file = heard?.files.find((each) => /lyrics[^/]*\.json\?/.test(each));
  const plain = there.request?.songs[heard?.song ?? 0]?.lyrics ?? "";
  const key = file ?? `${there.name}/${heard?.name}:${plain}`;
  if (key === shownLyrics) return;
  shownLyrics = key;
  const sung = file ? await tell(fileAddress(file)).catch(() => null) : null;
  if (shownLyrics === key) player.sing(sung, plain);
}

at("filter").oninput = draw;
at("level").onchange = () => {
  chosen.level = Number(at("level").value);
  draw();
};
at("title").onchange = () => attempt(() => deed(chosen.song, "note", { title: at("title").value }));
at("title").onkeydown = (event) => {
  if (event.key === "Enter") at("title").blur(); // nothing is returned: false would swallow the key
};
at("go-on").onclick = () => attempt(() => deed(chosen.song, "go-on"));
at("stop").onclick = () => attempt(() => deed(chosen.song, "stop"));
at("remove").onclick = () => attempt(() => deed(chosen.song, "remove"));
at("longer").onclick = () => form.goOn(song(), take(), player.cut());
at("add-part").onclick = () => form.addPart(song(), take(), player.cut());
at("finer").onclick = () => form.refine(song(), take(), { ...player.cut(), part: player.part !== null });
at("stereo").onclick = () => attempt(() => deed(chosen.song, "stereo"));
at("again").onclick = () => form.again(song());
at("live").onclick = () => {
  player.stop();
  if (!live.paused) return live.pause();
  live.src = `/live/${encodeURIComponent(chosen.song)}/${encodeURIComponent(take().name)}?${Date.now()}`;
  return live.play();
};
for (const event of ["play", "pause", "ended"])
  live.addEventListener(event, () => (at("live").textContent = live.paused ? "Listen while it is written" : "Stop listening"));

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, textarea, select") || event.ctrlKey || event.altKey || event.metaKey) return;
  const wanted = song()?.takes.find((each) => String(each.take) === event.key);
  if (event.key === " ") {
    if (event.target.closest("button, summary, a, audio")) return; // Space is their own
    event.preventDefault();
    player.toggle();
  } else if (wanted) {
    choose(chosen.song, wanted.name);
  }
});

listen(
  async (news) => {
    if (!state || news.version > state.version) return look().catch(trouble);
    show(at("trouble"), null);
    if (news.version === state.version) state.work = news.work;
    return drawWorking();
  },
  () => trouble(new Error("The studio does not answer; start it again by `jukebox studio`.")),
);

function addressed() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || null;
  } catch {
    return null; // "#100%" is no address
  }
}

window.addEventListener("hashchange", () => {
  const name = addressed();
  if (name !== chosen.song && state?.songs.some((each) => each.name === name)) choose(name);
});

chosen.song = addressed();
await look().catch(trouble);
