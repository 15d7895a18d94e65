// Small things for the page.

export const at = (id) => document.getElementById(id);

// An element with properties and children; texts are texts, never HTML.
export function make(kind, { dataset = {}, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(kind), properties);
  Object.assign(element.dataset, dataset);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function clock(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const whole = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const tail = `${String(whole % 60).padStart(2, "0")}`;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

export const tenths = (seconds) => `${clock(seconds)}.${Math.floor((seconds * 10) % 10)}`;

export const round = (value, digits = 2) => Number(value.toFixed(digits));

export function show(element, text) {
  element.hidden = !text;
  element.textContent = text ?? "";
}

// Draw into a box anew only where something that is shown has changed: else a click or the focus would be lost. The focus
// stays with the element of the same `data-key`.
export function redraw(box, shown, build) {
  const key = JSON.stringify(shown);
  if (box.shown === key) return;
  box.shown = key;
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  box.replaceChildren(...build());
  if (focused === undefined) return;
  [...box.querySelectorAll("[data-key]")].find((each) => each.dataset.key === focused)?.focus({ preventScroll: true });
}

// What a field says: a number, or null where it is empty.
export const number = (id) => (at(id).value.trim() === "" ? null : Number(at(id).value));

export const fill = (id, value) => (at(id).value = value ?? "");
