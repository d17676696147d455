// A plot in a document of its own, a Panel component: nothing that is drawn here is told to Python, and nothing of it is sent twice.

const next = () => new Promise((done) => requestAnimationFrame(done));

/** @param {{model: any, el: HTMLElement}} panel */
export async function render({ model, el }) {
  const place = document.createElement("div");
  let over = false;
  let views = null;
  model.on("remove", () => {
    over = true;
    views?.clear?.();
  });
  el.replaceChildren(place);
  for (let i = 0; i < 60 && !place.isConnected; i++) await next(); // a plot is measured where it stands
  if (over) return;
  views = await /** @type {any} */ (window).Bokeh.embed.embed_item(JSON.parse(model.item), place);
  if (over) views?.clear?.();
}
