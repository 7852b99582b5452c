// A true proof holds; one changed byte of key, path, leaf, position, root or note names its step.
async (root, path) => {
  const { check, consistent, ProofError } = await import(`${root}/core/proof.js`);
  const { get } = await import(`${root}/core/api.js`);
  const proof = await get(path);
  const { keys } = await get("/api/log/key");
  const kept = keys[0].key;
  const step = async (act) => {
    try {
      await act();
      return "holds";
    } catch (error) {
      return error instanceof ProofError ? error.step : String(error);
    }
  };
  const flip = (text, at) => text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
  const changed = (change) => {
    const copy = structuredClone(proof);
    change(copy, copy.events[1]);
    return step(() => check(copy, kept));
  };
  const checked = await check(proof, kept);
  const older = { origin: checked.origin, size: 0, root: "" };
  const grown = [];
  for (const [size, stored] of globalThis.checkpoints ?? []) {
    const { path: hashes } = await get("/api/log/proof", { first: size, second: checked.size });
    grown.push(await step(() => consistent({ ...older, size, root: stored }, checked, hashes)));
    grown.push(await step(() => consistent({ ...older, size, root: flip(stored, 3) }, checked, hashes)));
  }
  return {
    events: checked.events.length,
    rotated: checked.rotated,
    grown,
    key: await step(() => check(proof, flip(kept, kept.length - 5))),
    leaf: await changed((_, event) => (event.leaf = flip(event.leaf, event.leaf.length - 8))),
    path: await changed((_, event) => (event.path[0] = flip(event.path[0], 2))),
    short: await changed((_, event) => event.path.pop()),
    position: await changed((_, event) => (event.position += 1)),
    root: await changed((copy) => (copy.checkpoint = copy.checkpoint.replace(/\n(\d+)\n(.)/, (_, n, c) => `\n${n}\n${c === "A" ? "B" : "A"}`))),
    note: await changed((copy) => (copy.checkpoint = flip(copy.checkpoint, copy.checkpoint.length - 12))),
  };
};
