// Words in place of a view, a Panel component: what a step waits for with a way there, or a line beside plots.
import { button, h, put } from "../shared/dom.js";
import { blank, lifetime, watchTheme } from "../shared/frame.js";
import styles from "../shared/style.css";

/** @param {{model: any, el: HTMLElement}} panel */
export function render({ model, el }) {
  const values = { get: () => "auto", on: () => {}, off: () => {} }; // what a theme is asked of; a notice has none of its own
  const life = lifetime(values);
  const root = h("section", { class: "af af-notice", "aria-label": model.title || "Note" });
  const draw = () => put(root, h("style", {}, styles), model.title ? blank(model.title, model.text, model.action ? button(model.action, () => model.send_msg({}), { class: "af-button primary" }) : null) : h("p", {}, model.text));
  for (const name of ["title", "text", "action"]) model.on(name, draw);
  draw();
  put(el, root);
  watchTheme(values, root, life, () => {});
  model.on("remove", life.end);
}
