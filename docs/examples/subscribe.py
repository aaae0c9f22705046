# Prints every item event; started again, it goes on where it stopped.
# NATS_URL=nats://host:4222 NATS_USER=... NATS_PASSWORD=...
import asyncio, contextlib, json
from os import environ
import nats


async def main():
    bus = await nats.connect(environ["NATS_URL"], user=environ["NATS_USER"], password=environ["NATS_PASSWORD"])
    consumer = await bus.jetstream().pull_subscribe("items.>", durable="printer-py", stream="EVENTS")
    while True:
        with contextlib.suppress(nats.errors.TimeoutError):  # nothing new for 30 seconds: ask again
            for message in await consumer.fetch(100, timeout=30):
                event = json.loads(message.data)
                print(event["position"], event["name"], event["collection"], event["key"], event["version"], flush=True)
                await message.ack()


asyncio.run(main())
