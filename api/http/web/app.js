// The start of the console: session, theme, keys, the stream of events, and the screen for a path.
import { offlineSince } from "./core/api.js";
import { h, html, render, useEffect, useState } from "./core/html.js";
import { listenForKeys, useKeys } from "./core/keys.js";
import { follow } from "./core/live.js";
import { applyTheme } from "./core/prefs.js";
import { followLinks, go, match, place } from "./core/route.js";
import { loadSession, needsSignIn, session } from "./core/session.js";
import { time } from "./core/format.js";
import { Shown } from "./parts/dialog.js";
import { Dropping } from "./parts/dropping.js";
import { Empty, Failure, Skeleton } from "./parts/notice.js";
import { jumping, Shell, switchTheme } from "./parts/shell.js";
import { Fork } from "./parts/seal.js";
import { Toasts } from "./parts/toast.js";

/** Path pattern, module of the screen, and its title. A module exports `Screen`. */
const SCREENS = [
  { path: "/", load: () => import("./screens/assets.js") },
  { path: "/assets/:id", load: () => import("./screens/asset.js") },
  { path: "/jobs", load: () => import("./screens/jobs.js") },
  { path: "/jobs/:id", load: () => import("./screens/job.js") },
  { path: "/usage", load: () => import("./screens/usage.js") },
  { path: "/nodes/:id", load: () => import("./screens/usage.js") },
  { path: "/workflows/:id", load: () => import("./screens/usage.js") },
  { path: "/ledger", load: () => import("./screens/ledger.js") },
  { path: "/sign-in", load: () => import("./screens/signin.js") },
];

const KEYS = {
  "Ctrl+k": () => (jumping.value = true),
  "g a": () => go("/"),
  "g j": () => go("/jobs"),
  "g u": () => go("/usage"),
  "g l": () => go("/ledger"),
  t: switchTheme,
};

function App() {
  useKeys(KEYS);
  const path = place.value.path;
  const screen = SCREENS.find((entry) => match(entry.path, path));
  const [view, setView] = useState(/** @type {any} */ (null));
  useEffect(() => {
    let left = false;
    if (screen) {
      screen.load().then(
        (module) => left || setView({ Screen: module.Screen, entry: screen }),
        () => left || setView({ updated: true }),
      );
    }
    return () => void (left = true);
  }, [screen]);
  if (!screen) return html`<main class="main" id="main"><h1 class="vh">Not found</h1>${h(Empty, { icon: "search", title: "There is no page here." }, html`<a class="link" href="/">Go to the assets</a>`)}</main>`;
  if (view?.updated) return html`<main class="main" id="main"><h1 class="vh">Updated</h1>${h(Empty, { icon: "rotate-ccw", title: "The console was updated." }, html`<button class="btn primary" onClick=${() => location.reload()}>Reload</button>`)}</main>`;
  if (view?.entry !== screen) return html`<main class="main" id="main"><h1 class="vh">Loading</h1>${h(Skeleton, {})}</main>`;
  return h(view.Screen, { key: screen.path, ...match(screen.path, path) });
}

function Offline() {
  const since = offlineSince.value;
  return since > 0 && html`<div class="strip warn" role="status">No connection since ${time(new Date(since).toISOString())}. Showing what was loaded.</div>`;
}

function Root() {
  const [SignIn, setSignIn] = useState(/** @type {any} */ (null));
  useEffect(() => {
    if (needsSignIn.value) import("./screens/signin.js").then((module) => setSignIn(() => module.SignIn));
  }, [needsSignIn.value]);
  return html`${h(Offline, {})}${h(Fork, {})}
    ${session.value && h(Shell, {}, h(App, {}))}
    ${needsSignIn.value && SignIn && h(SignIn, {})}
    ${h(Jumper, {})}${h(Shown, {})}${h(Dropping, {})}${h(Toasts, {})}`;
}

/** The dialog "Jump to", loaded when it is first opened. */
function Jumper() {
  const [Jump, setJump] = useState(/** @type {any} */ (null));
  const open = jumping.value;
  useEffect(() => {
    if (open && !Jump) import("./parts/jump.js").then((module) => setJump(() => module.Jump));
  }, [open]);
  return open && Jump && h(Jump, { close: () => (jumping.value = false) });
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
