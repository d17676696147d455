// A slider over the epochs of training: how the map came about.
import { button, h, still } from "./dom.js";
import { tell } from "./link.js";

const BEAT = 500; // milliseconds an epoch, when played

/** @param {any} model @param {any} life */
export function epochSlider(model, life) {
  const slider = h("input", { type: "range", min: 0, "aria-label": "Epoch of training", oninput: () => go(Number(slider.value)) });
  const says = h("span", { class: "af-caption af-num" });
  const play = button("Play", () => (timer ? stop() : start()), { class: "af-link", "aria-label": "Play the epochs of training" });
  const node = h("div", { class: "af-row af-epochs", hidden: true }, h("span", { class: "af-label" }, "epoch of training"), play, slider, says);
  let now = [];
  let timer = 0;

  const frames = (space) => (model.get("epochs") || []).filter((frame) => frame.space === space);
  const go = (k) => tell(model, { epoch: k >= now.length ? -1 : k });
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  const start = () => {
    play.textContent = "Pause";
    go(0);
    timer = window.setInterval(() => {
      const at = model.get("epoch");
      if (at < 0) return stop();
      return go(at + 1);
    }, still() ? 2 * BEAT : BEAT);
  };
  life.push(stop);

  /** @param {string} space */
  const draw = (space) => {
    now = frames(space);
    node.hidden = !now.length;
    if (!now.length) return;
    const at = model.get("epoch") < 0 || model.get("epoch") >= now.length ? now.length : model.get("epoch");
    slider.max = String(now.length); // the last place is the map itself
    slider.value = String(at);
    says.textContent = at === now.length ? "the trained model" : `epoch ${now[at].epoch}`;
    slider.setAttribute("aria-valuetext", says.textContent);
  };
  return { node, frames, draw };
}
