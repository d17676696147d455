// The code drawer of the workbench, a Panel component: the notebook that the clicks have written so far.

const STYLE = `details { font: 12px/18px var(--jp-code-font-family, ui-monospace, Menlo, Consolas, monospace); color: var(--jp-ui-font-color1, inherit); margin-top: 8px; }
summary { cursor: pointer; padding: 4px 0; }
summary:focus-visible, button:focus-visible { outline: 2px solid var(--jp-brand-color1, #0b65c2); outline-offset: 2px; }
pre { margin: 0; padding: 8px 12px; overflow-x: auto; border: 1px solid var(--jp-border-color2, #8884); border-radius: 4px; }
button { margin: 4px 0; font: inherit; color: inherit; background: none; border: 1px solid var(--jp-border-color2, #8884); border-radius: 4px; padding: 2px 12px; cursor: pointer; }`;

/** @param {{model: any, el: HTMLElement}} panel */
export function render({ model, el }) {
  const style = document.createElement("style");
  style.textContent = STYLE;
  const drawer = document.createElement("details");
  const title = document.createElement("summary");
  title.textContent = "</> code: the notebook that these views have written so far";
  const text = document.createElement("pre");
  const copy = document.createElement("button");
  copy.textContent = "Copy";
  copy.onclick = async () => {
    await navigator.clipboard?.writeText(model.text);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), 1200);
  };
  const show = () => (text.textContent = model.text);
  model.on("text", show);
  show();
  drawer.append(title, text, copy);
  el.replaceChildren(style, drawer);
}
