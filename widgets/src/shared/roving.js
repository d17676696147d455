// One stop of the Tab key for many things that can be picked: arrows, Home and End go between them.

/** Arrow keys go between things that can be picked, Enter and space pick. @param {Element} holder @param {string} what @param {number} across items in a row; 1 for a line */
export function roving(holder, what, across = 1) {
  const all = () => /** @type {any[]} */ ([...holder.querySelectorAll(what)]);
  all().forEach((one, i) => one.setAttribute("tabindex", i === 0 ? "0" : "-1"));
  holder.addEventListener("keydown", (/** @type {any} */ e) => {
    const items = all();
    const at = items.findIndex((one) => one === e.target);
    if (at < 0) return;
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[e.key];
    if (e.key === "Enter" || e.key === " ") {
      e.preventDefault();
      e.stopPropagation();
      items[at].dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey: e.shiftKey, altKey: e.altKey }));
    }
    const next = e.key === "Home" ? items[0] : e.key === "End" ? items.at(-1) : by && items[at + by];
    if (!next) return;
    e.preventDefault();
    e.stopPropagation();
    items.forEach((one) => one.setAttribute("tabindex", "-1"));
    next.setAttribute("tabindex", "0");
    next.focus();
  });
}
