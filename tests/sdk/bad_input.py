"""Bad input through a real SDK: Milvus's code and text, nothing written, the server unharmed.

Each case is a call and the code and fragment that it must fail with (contract: Milvus's own tests match such fragments). After all of
them the collection holds what it held before.
"""
# sdk: pymilvus-3.0.2
# fixture: standalone cluster

import logging
import math
import time

import grpc
import pymilvus
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc

from _server import fixture

# The SDK logs every refusal; here refusals are what is wanted.
logging.disable(logging.CRITICAL)

NAME = "bad_input"
DIMENSION = 4
# A message of more than 4 MiB is too large for it.
SERVER = fixture({"PROXY_GRPC_SERVERMAXRECVSIZE": str(4 << 20)})
CLIENT = pymilvus.MilvusClient(SERVER.uri)


def row(**changes):
    return {"id": 1, "text": "a", "number": 1, "vector": [0.0] * DIMENSION} | changes


def without(name):
    return {key: value for key, value in row().items() if key != name}


def insert(**changes):
    return lambda: CLIENT.insert(NAME, [row(**changes)])


def search(**changes):
    arguments = {"collection_name": NAME, "data": [[0.0] * DIMENSION], "limit": 3} | changes
    return lambda: CLIENT.search(**arguments)


def query(**changes):
    return lambda: CLIENT.query(**({"collection_name": NAME, "filter": "id >= 0"} | changes))


# (what, call, code or None where the SDK refuses before the server does, fragment)
CASES = [
    ("wrong dimension", insert(vector=[0.0] * 3), None, "dim"),
    ("NaN", insert(vector=[math.nan] + [0.0] * 3), 1100, "is not a number or infinity"),
    ("infinity", insert(vector=[math.inf] + [0.0] * 3), 1100, "is not a number or infinity"),
    ("over-long text", insert(text="x" * 17), 1100, "length of varchar field text exceeds max length"),
    ("missing field", lambda: CLIENT.insert(NAME, [without("number")]), None, "number"),
    ("unknown collection, insert", lambda: CLIENT.insert("absent", [row()]), 100, "can't find collection"),
    ("unknown collection, search", search(collection_name="absent"), 100, "collection not found"),
    ("unknown collection, describe", lambda: CLIENT.describe_collection("absent"), 100, "can't find collection[database=default][collection=absent]"),
    ("unknown partition, insert", lambda: CLIENT.insert(NAME, [row()], partition_name="absent"), 200, "partition not found[partition=absent]"),
    ("unknown partition, search", search(partition_names=["absent"]), 1100, "partition name absent not found"),
    ("collection name with a dash", lambda: CLIENT.create_collection("a-b", dimension=4), 1100, "Invalid collection name: a-b."),
    ("collection name with a digit first", lambda: CLIENT.create_collection("1a", dimension=4), 1100,
     "the first character of a collection name must be an underscore or letter"),
    ("dimension 1", lambda: CLIENT.create_collection("fine", dimension=1), 1100, "float vector dimension should be in range 2 ~ 32768"),
    ("dimension above", lambda: CLIENT.create_collection("fine", dimension=32769), 1100, "float vector dimension should be in range 2 ~ 32768"),
    ("filter that is none", query(filter="id >"), 1100, "cannot parse expression: id >"),
    ("filter with unknown field", query(filter="nothing == 1"), 1100, "cannot parse expression: nothing == 1"),
    ("filter with wrong types", query(filter="text > 1"), 1100, "comparisons between VarChar and Int64 are not supported"),
    ("filter that is no boolean", query(filter="id + 1"), 1100, "predicate is not a boolean expression"),
    ("filter that divides by zero", query(filter="id % 0 == 1"), 1100, "by zero"),
    ("empty filter without limit", query(filter=""), 1100, "empty expression should be used with limit"),
    ("query window", query(limit=16_385), 1100, "(offset+limit) should be in range [1, 16384], but got 16385"),
    ("top-k", search(limit=16_385), 1100, "topk [16385] is invalid, it should be in range [1, 16384], but got 16385"),
    ("offset", search(search_params={"offset": 16_384}), 1100, "should be in range [1, 16384]"),
    ("metric that isn't the index's", search(search_params={"metric_type": "IP"}), 1100, "metric type not match: invalid parameter[expected=L2][actual=IP]"),
    ("vector of another dimension", search(data=[[0.0] * 3]), None, "vector dimension mismatch, expected vector size(byte) 16, actual 12"),
    ("ef below k", search(limit=10, search_params={"params": {"ef": 3}}), 1100, "ef(3) should be larger than k(10)"),
    ("unknown output field", query(output_fields=["nothing"]), 1100, "field nothing not exist"),
    ("NaN to search for", search(data=[[math.nan] + [0.0] * 3]), 1100, "is not a number or infinity"),
    ("delete of everything", lambda: CLIENT.delete(NAME, filter="id not in []"), 1100, "delete plan can't be empty or always true"),
    ("delete of everything, turned round", lambda: CLIENT.delete(NAME, filter="not (id in [])"), 1100, "delete plan can't be empty or always true"),
    ("empty delete", lambda: CLIENT.delete(NAME, filter=""), None, ""),
    ("search of what isn't loaded", search(collection_name="unloaded"), 101, "collection not loaded"),
    ("load without an index", lambda: CLIENT.load_collection("bare"), 700, "index not found[collection=bare]"),
]


def prepare() -> None:
    schema = pymilvus.MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", pymilvus.DataType.INT64, is_primary=True)
    schema.add_field("text", pymilvus.DataType.VARCHAR, max_length=16)
    schema.add_field("number", pymilvus.DataType.INT64)
    schema.add_field("vector", pymilvus.DataType.FLOAT_VECTOR, dim=DIMENSION)
    index = CLIENT.prepare_index_params()
    index.add_index("vector", index_type="HNSW", metric_type="L2", params={"M": 8, "efConstruction": 40})
    CLIENT.create_collection(NAME, schema=schema, index_params=index, consistency_level="Strong")
    CLIENT.create_collection("unloaded", schema=schema)
    CLIENT.create_collection("bare", schema=schema)
    index = CLIENT.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    CLIENT.create_index("unloaded", index)
    CLIENT.insert(NAME, [row(id=i) for i in range(10)])


def oversized() -> list[str]:
    """A message beyond the limit is refused in a way that SDKs don't repeat."""
    began = time.monotonic()
    try:
        CLIENT.insert(NAME, [row(id=100 + i, text="x" * 16) for i in range(200_000)])
        return ["an oversized message: it was accepted"]
    except Exception as error:  # noqa: BLE001, the SDK raises gRPC's own
        took = time.monotonic() - began
        fine = "received message larger than max" in str(error) and took < 10
        return [] if fine else [f"an oversized message: after {took:.1f} s: {error}"]


def claimed_rows() -> list[str]:
    """A request that claims rows which it doesn't have gets an answer of a size like its own."""
    with grpc.insecure_channel(SERVER.uri.removeprefix("http://")) as channel:
        stub = milvus_pb2_grpc.MilvusServiceStub(channel)
        answer = stub.Insert(milvus_pb2.InsertRequest(collection_name=NAME, num_rows=2**24))
    fine = answer.status.code != 0 and answer.ByteSize() < 10_000
    return [] if fine else [f"claimed rows: {answer.ByteSize()} bytes of answer with code {answer.status.code}"]


def main() -> None:
    prepare()
    wrong = []
    for what, call, code, fragment in CASES:
        try:
            call()
            wrong.append(f"{what}: it was accepted")
        except pymilvus.MilvusException as error:
            if code is not None and error.code != code:
                wrong.append(f"{what}: code {error.code} instead of {code}: {error.message}")
            elif fragment not in str(error):
                wrong.append(f"{what}: '{fragment}' isn't in: {error}")
        except (ValueError, TypeError) as error:
            if code is not None:
                wrong.append(f"{what}: the SDK refused it itself: {error}")
    wrong += oversized() + claimed_rows()
    rows = CLIENT.query(NAME, filter="id >= 0", output_fields=["*"])
    if sorted(found["id"] for found in rows) != list(range(10)):
        wrong.append(f"the collection holds {len(rows)} rows instead of 10")
    if not SERVER.runs():
        wrong.append("the server ended")
    SERVER.close()
    if wrong:
        raise SystemExit(f"{len(wrong)} of {len(CASES)} cases are wrong:\n  " + "\n  ".join(wrong))
    print(f"{len(CASES)} cases of bad input: refused as Milvus refuses them, 10 rows as before")


if __name__ == "__main__":
    main()
