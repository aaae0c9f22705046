// Prints every item event; started again, it goes on where it stopped.
// NATS_URL=nats://host:4222 NATS_USER=... NATS_PASSWORD=...
import { connect } from "@nats-io/transport-node";
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";

type Event = { position: number; name: string; collection: string; key: string; version: number };

const { NATS_URL: servers, NATS_USER: user, NATS_PASSWORD: pass } = process.env;
const bus = await connect({ servers, user, pass });
const settings = { durable_name: "printer-ts", filter_subject: "items.>", ack_policy: AckPolicy.Explicit };
await (await jetstreamManager(bus)).consumers.add("EVENTS", settings);
const consumer = await jetstream(bus).consumers.get("EVENTS", "printer-ts");
for await (const message of await consumer.consume({ abort_on_missing_resource: true })) {
  const event = message.json<Event>();
  console.log(event.position, event.name, event.collection, event.key, event.version);
  message.ack();
}
