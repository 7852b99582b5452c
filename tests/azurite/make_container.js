// Make a container. Arguments: the connection string of the account, and the name of the container.
import { BlobServiceClient } from "@azure/storage-blob";

const [connection, name] = process.argv.slice(2);
await BlobServiceClient.fromConnectionString(connection).createContainer(name);
