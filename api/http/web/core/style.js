// The style sheet of a screen, loaded with the screen and kept.

const loaded = new Map();

/** Load `css/<name>.css` once. @param {string} name @returns {Promise<void>} done when it applies */
export function style(name) {
  const found = loaded.get(name);
  if (found) return found;
  const made = new Promise((/** @type {(value: void) => void} */ done) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.onload = link.onerror = () => done();
    link.href = new URL(`../css/${name}.css`, import.meta.url).href;
    document.head.append(link);
  });
  loaded.set(name, made);
  return made;
}
