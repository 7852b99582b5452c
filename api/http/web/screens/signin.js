// Sign in with a token, where the server asks for one: over the page as it is, or as a page.
import { signedOut } from "../core/api.js";
import { h, html, useEffect, useState } from "../core/html.js";
import { go, place } from "../core/route.js";
import { session, signIn } from "../core/session.js";
import { Brand, Page, Problem } from "../parts/basic.js";

/** @param {{done?: () => void}} properties */
export function SignIn({ done }) {
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [busy, setBusy] = useState(false);
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    setBusy(true);
    try {
      await signIn(String(new FormData(form).get("token") ?? "").trim());
      done?.();
    } catch (failed) {
      setError(failed);
    }
    setBusy(false);
  };
  return html`<div class="signin" role="dialog" aria-modal="true" aria-label="Sign in"><form onSubmit=${submit}>
    <div class="brand">${h(Brand, {})}</div>
    ${signedOut.value && session.value && html`<p>Your token is not valid any more.</p>`}
    <label class="field">Token<input class="input mono" name="token" type="password" autocomplete="off" required autofocus aria-invalid=${Boolean(error)} /></label>
    ${error && html`<p class="wrong" role="alert">${h(Problem, { error })}</p>`}
    <button class="btn primary" disabled=${busy}>Sign in</button>
    <p class="quiet">A token comes from <span class="mono">asset-ledger token create</span>. This browser keeps it for this session only.</p></form></div>`;
}

/** The page `/sign-in`; `next` is a path of ours. */
export function Screen() {
  const next = place.value.query.get("next") ?? "/";
  const target = /^\/(?![/\\])/.test(next) ? next : "/";
  const done = () => go(target, { replace: true });
  useEffect(() => void (session.value?.auth === "local" && done()), []);
  return h(Page, { title: "Sign in" }, h(SignIn, { done }));
}
