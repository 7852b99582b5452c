// Every asset of a job, folded in the browser at every position, equals the answer of `as_of=`.
async (root, job) => {
  const { Replay } = await import(`${root}/core/fold.js`);
  const { lines, send, get } = await import(`${root}/core/api.js`);
  const response = await send(`/api/jobs/${job}/history`, { headers: { Accept: "application/x-ndjson" } });
  const events = [];
  for await (const event of lines(response)) events.push(event);
  const replay = new Replay(events, "1");
  const wrong = [];
  const order = [...events.keys(), ...[...events.keys()].reverse()]; // forward, and back again
  for (const k of order) {
    const state = replay.at(k + 1);
    const { assets } = await get(`/api/jobs/${job}/assets`, { as_of: events[k].position, deleted: "any", page_size: 1000 });
    const folded = [...state.assets.values()];
    if (folded.length !== assets.length) wrong.push(`${k}: ${folded.length} assets, not ${assets.length}`);
    for (const asset of assets) {
      const mine = state.assets.get(asset.id) ?? {};
      for (const name of Object.keys(asset)) {
        const [a, b] = [JSON.stringify(asset[name]), JSON.stringify(mine[name])];
        if (a !== b && !(name.startsWith("deleted_") && asset[name] === null)) wrong.push(`${k} ${name}: ${b}, not ${a}`);
      }
    }
  }
  return { events: events.length, wrong };
};
