# Creates an item and reads it back. EVENTUS_GRPC=127.0.0.1:9090, EVENTUS_TOKEN=a token
import json, os
import grpc
from eventus.items.v1 import items_pb2, items_pb2_grpc

items = items_pb2_grpc.ItemsServiceStub(grpc.insecure_channel(os.environ["EVENTUS_GRPC"]))
call = {"timeout": 5, "metadata": [("authorization", "Bearer " + os.environ["EVENTUS_TOKEN"])]}


def as_bytes(value):
    return json.dumps(value).encode()


def create(payload):
    return items.CreateItems(items_pb2.CreateItemsRequest(collection="articles", payload=as_bytes(payload)), **call)


made = create({"title": "Over gRPC"})
query = as_bytes({"fields": ["id", "title"]})
read = items.ReadItem(items_pb2.ReadItemRequest(collection="articles", key=made.keys[0], query=query), **call)
print(json.loads(read.item))

try:
    create({"title": None})
except grpc.RpcError as refused:
    errors = json.loads(dict(refused.trailing_metadata())["eventus-errors-bin"])
    print(refused.code().name, errors[0]["code"])
