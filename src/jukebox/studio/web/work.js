// What is being written, at the top: a bar for each level, the time left, a way to stop.

import { at, clock, make, redraw } from "./page.js";

export function drawWork(work, title, stop) {
  const box = at("work");
  // News comes several times a second: the elements stay, or a click on Stop would be lost between two of them.
  redraw(box, work.running, () => {
    if (!work.running) return [];
    return [
      make("span", { className: "what" }),
      make("div", { className: "bars" }),
      make("span", { className: "quiet figures" }),
      make("span", { className: "quiet more" }),
      make("button", { type: "button", onclick: stop, dataset: { key: "stop" } }, "Stop"),
    ];
  });
  if (!work.running) return;
  const finest = work.levels[work.levels.length - 1];
  const said = work.stopping
    ? "is being stopped and saved"
    : finest
      ? `${finest.times_real_time.toFixed(2)} × real time, ${clock(Math.min(finest.left_s, 359999))} left`
      : (work.said[work.running]?.at(-1) ?? "begins");
  const bars = box.querySelector(".bars");
  redraw(bars, work.levels.length, () => work.levels.map(() => make("div", { className: "bar" }, make("i"))));
  for (const [index, level] of work.levels.entries()) {
    const share = level.of_tokens ? (100 * level.tokens) / level.of_tokens : 100;
    bars.children[index].title = `level ${level.level}: ${share.toFixed(0)} %`;
    bars.children[index].firstChild.style.width = `${share}%`;
  }
  box.querySelector(".what").textContent = title;
  box.querySelector(".figures").textContent = said;
  box.querySelector(".more").textContent = work.queue.length ? `${work.queue.length} more` : "";
  box.querySelector("button").disabled = work.stopping;
}
