// Upload a file by tus-js-client, and print the headers of the last answer as JSON.
// node upload.js <endpoint> <file> <size of a chunk> <metadata as JSON> [<bytes after which to end>]
import { createReadStream, statSync } from "node:fs";
import { Upload } from "tus-js-client";

const [endpoint, path, chunkSize, metadata, end] = process.argv.slice(2);

const upload = new Upload(createReadStream(path), {
  endpoint,
  chunkSize: Number(chunkSize) || Number.POSITIVE_INFINITY,
  uploadSize: statSync(path).size,
  metadata: JSON.parse(metadata),
  retryDelays: Array(60).fill(500),
  onChunkComplete: (_, accepted) => {
    process.stderr.write(`${accepted}\n`);
    if (end && accepted >= Number(end)) process.exit(3);
  },
  onError: (error) => {
    process.stderr.write(`${error}\n`);
    process.exit(1);
  },
  onSuccess: ({ lastResponse }) => {
    process.stdout.write(`${JSON.stringify({ asset: lastResponse.getHeader("Ledger-Asset") })}\n`);
  },
});
upload.start();
