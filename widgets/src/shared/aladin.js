// ipyaladin's view inside ours. It is another package's, installed by the user, and loads Aladin Lite from the network by itself.

const PATIENCE = 15000; // ms for it to come
const LOADED = "_is_loaded"; // ipyaladin's own trait
const here = new Set(); // models whose page is this one

/** Why this page cannot show it; empty where it can. @param {any} model */
export function hindrance(model) {
  if (!model.get("live")) return "this page has no kernel";
  if (!model.widget_manager) return "this page holds no other widgets; af.FetchWidget() in a notebook's cell does";
  return navigator.onLine === false ? "this browser is offline" : "";
}

/** Whether a model was loaded by a page that is gone: what Python told that page, this one would not know. */
const isOld = (child, id) => child.get(LOADED) && !here.has(id);

/** Show it in `holder`; gives what ends it, null where a new one is needed. Fails in words. @param {any} model @param {string} id @param {HTMLElement} holder */
export async function mountAladin(model, id, holder) {
  const child = await model.widget_manager.get_model(id);
  if (isOld(child, id)) return null;
  here.add(id);
  const view = await model.widget_manager.create_view(child);
  holder.replaceChildren(view.el);
  try {
    await new Promise((resolve, reject) => {
      const done = () => child.get(LOADED) && resolve(true);
      child.on(`change:${LOADED}`, done);
      setTimeout(() => reject(new Error("it did not come from the network in time")), PATIENCE);
      done();
    });
  } catch (error) {
    view.remove();
    throw error;
  }
  return () => view.remove();
}
