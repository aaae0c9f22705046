# Prints every item event; started again, it goes on where it stopped. NATS_URL=nats://user:password@host:4222
import asyncio, contextlib, json, os
import nats


async def main():
    events = (await nats.connect(os.environ["NATS_URL"])).jetstream()
    consumer = await events.pull_subscribe("items.>", durable="printer-py", stream="EVENTS")
    while True:
        with contextlib.suppress(nats.errors.TimeoutError):  # nothing new for 30 seconds: ask again
            for message in await consumer.fetch(100, timeout=30):
                event = json.loads(message.data)
                print(event["position"], event["name"], event["collection"], event["key"], event["version"], flush=True)
                await message.ack()


asyncio.run(main())
