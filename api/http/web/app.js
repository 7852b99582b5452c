// The start of the console: session, theme, keys, the stream of events, and the screen for a path.
import { fork, signedOut } from "./core/api.js";
import { h, html, render, useEffect, useErrorBoundary } from "./core/html.js";
import { listenForKeys, useKeys } from "./core/keys.js";
import { follow } from "./core/live.js";
import { applyTheme, switchTheme } from "./core/prefs.js";
import { followLinks, go, match, place } from "./core/route.js";
import { loadSession, session, signIns } from "./core/session.js";
import { Empty, Failure, lazy, Page } from "./parts/basic.js";
import { Dropping } from "./parts/dropping.js";
import { Corner, Shown, Toasts, Waiting } from "./parts/over.js";
import { help, jump, Shell } from "./parts/shell.js";

/** A screen, loaded when it is first shown. @param {() => Promise<{Screen: (properties: any) => any}>} load */
const screen = (load) => lazy(async () => (await load()).Screen, Page);

const Usage = screen(() => import("./screens/usage.js"));

/** @type {Record<string, (properties: any) => any>} */
const SCREENS = {
  "/": screen(() => import("./screens/assets.js")),
  "/assets/:id": screen(() => import("./screens/asset.js")),
  "/jobs": screen(() => import("./screens/jobs.js")),
  "/jobs/:id": screen(() => import("./screens/job.js")),
  "/usage": Usage,
  "/nodes/:id": Usage,
  "/workflows/:id": Usage,
  "/ledger": screen(() => import("./screens/ledger.js")),
  "/sign-in": screen(() => import("./screens/signin.js")),
};
const SignIn = lazy(async () => (await import("./screens/signin.js")).SignIn);
const Fork = lazy(async () => (await import("./parts/seal.js")).Fork);

const KEYS = {
  "Ctrl+k": jump,
  "Ctrl+Control": () => void import("./parts/jump.js").catch(() => {}), // is here before the k
  "g a": () => go("/"),
  "g j": () => go("/jobs"),
  "g u": () => go("/usage"),
  "g l": () => go("/ledger"),
  t: switchTheme,
  "?": help,
};

function App() {
  useKeys(KEYS);
  const [fault, forget] = useErrorBoundary((error) => reportError(error));
  useEffect(forget, [place.value]);
  if (fault) return h(Page, { title: "Fault" }, h(Failure, { error: { status: 500 }, retry: forget }));
  for (const [pattern, Screen] of Object.entries(SCREENS)) {
    const found = match(pattern, place.value.path);
    if (found) return h(Screen, { key: pattern, ...found });
  }
  return h(Page, { title: "Not found" }, h(Empty, { icon: "search", title: "There is no page here." }, html`<a class="link" href="/">Go to the assets</a>`));
}

function Root() {
  return html`${h(Waiting, {})}${fork.value && h(Fork, {})}
    ${session.value && h(Shell, {}, h(App, { key: signIns.value }))}
    ${signedOut.value && h(SignIn, {})}
    ${h(Shown, {})}${h(Dropping, {})}${h(Corner, {})}${h(Toasts, {})}`;
}

async function start() {
  applyTheme();
  followLinks();
  listenForKeys();
  const root = /** @type {HTMLElement} */ (document.getElementById("app"));
  try {
    await loadSession();
  } catch (error) {
    render(html`<main class="main">${h(Failure, { error, retry: () => location.reload() })}</main>`, root);
    return;
  }
  render(h(Root, {}), root);
  follow();
}

start();
