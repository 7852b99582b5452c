// The caller of this page: user, scopes, limits and version, from GET /api/session.
import { address, ApiError, get, signedOut, write } from "./api.js";
import { signal } from "./html.js";

const ACTS = "asset-ledger.acts";

/** `user_id` is the owner of what is shown: `for_user`, or else `self`, the caller.
 * @type {import("./html.js").Signal<Session & {self: string} | null>} */
export const session = signal(null);

/** Load the session. A refusal with 401 leaves it null and sets `signedOut`. */
export async function loadSession() {
  try {
    const me = await get("/api/session");
    session.value = { ...me, self: me.user_id, user_id: me.for_user ?? me.user_id };
    signedOut.value = false;
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 401)) throw error;
  }
}

/** How often a token was exchanged: screens begin anew, since what they asked for was refused. */
export const signIns = signal(0);

/** Exchange a token for the cookie of this browser session. @param {string} token */
export async function signIn(token) {
  await write("POST", "/api/session", { token });
  await loadSession();
  signIns.value += 1;
}

/** Read and write the assets of a user from now on, in every tab. @param {string} user */
export async function actFor(user) {
  await write("POST", "/api/session", { for_user: user });
  localStorage.setItem(ACTS, String(Date.now()));
  location.assign("/");
}

addEventListener("storage", ({ key }) => key === ACTS && location.reload());

/** End the session of this browser. */
export async function signOut() {
  await write("DELETE", "/api/session");
  session.value = null;
  signedOut.value = true;
}

/** A text as one word of a shell. @param {string} text */
export const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A GET as a command of curl. Where the server asks for a token, the shell has it: none is in the text.
 * @param {string} path @param {import("./api.js").Params} [params] @param {string} [type] media type of the answer */
export function curl(path, params, type) {
  const me = session.value;
  const words = ["curl -s", quoted(location.origin + address(path, params))];
  if (type) words.push("-H", quoted(`Accept: ${type}`));
  if (me?.auth !== "local") words.push('-H "Authorization: Bearer $ASSET_LEDGER_TOKEN"');
  if (me?.for_user) words.push("-H", quoted(`Asset-Ledger-User: ${encodeURIComponent(me.for_user)}`));
  return words.join(" ");
}

/** Return whether the caller has a scope. @param {Session["scopes"][number]} scope */
export function can(scope) {
  return session.value?.scopes.includes(scope) ?? false;
}
