// What is being written, at the top: a bar for each level, the time left, a way to stop.

import { at, clock, make } from "./page.js";

export function drawWork(work, title, stop) {
  const box = at("work");
  if (!work.running) {
    box.replaceChildren();
    return;
  }
  const finest = work.levels[work.levels.length - 1];
  const said = work.stopping
    ? "is being stopped and saved"
    : finest
      ? `${finest.times_real_time.toFixed(2)} × real time, ${clock(Math.min(finest.left_s, 359999))} left`
      : (work.notes[work.notes.length - 1] ?? "begins");
  const bars = work.levels.map((level) => {
    const share = level.of_tokens ? (100 * level.tokens) / level.of_tokens : 100;
    const filled = make("i");
    filled.style.width = `${share}%`;
    return make("div", { className: "bar", title: `level ${level.level}: ${share.toFixed(0)} %` }, filled);
  });
  box.replaceChildren(
    make("span", {}, title),
    make("div", { className: "bars" }, ...bars),
    make("span", { className: "quiet figures" }, said),
    make("span", { className: "quiet" }, work.queue.length ? `${work.queue.length} more` : ""),
    make("button", { type: "button", onclick: stop, disabled: work.stopping }, "Stop"),
  );
}
