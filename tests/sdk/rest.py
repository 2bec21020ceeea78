"""The main job over REST, with nothing but urllib, beside an SDK on the same server: what one writes the other reads.

Quick and full creation, rows of every kind that a row can have, reads with filters and templates, Int64 values beyond 53 bits, deletes,
errors with their codes, the headers. Every answer is compared with one computed here, and with the SDK's.
"""
# sdk: pymilvus-3.0.2
# fixture: standalone cluster

import json
import urllib.error
import urllib.request

import numpy
import pymilvus

from _server import fixture

DIMENSION, ROWS = 8, 1_000
RANDOM = numpy.random.default_rng(19530)
VECTORS = RANDOM.random((ROWS, DIMENSION), dtype=numpy.float32)
# Beyond what a float can hold.
KEYS = [2**62 + i for i in range(ROWS)]
SERVER = fixture()


def expect(actual, wanted) -> None:
    if actual != wanted:
        raise AssertionError(f"got {actual!r}, want {wanted!r}")


def post(path: str, body: dict | bytes, headers: dict[str, str] | None = None) -> tuple[int, dict]:
    """HTTP's status and the answer to a request below /v2/vectordb/."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{SERVER.uri}/v2/vectordb/{path}", data, {"Content-Type": "application/json"} | (headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


def ask(path: str, headers: dict[str, str] | None = None, **body):
    """The data of a request that succeeds."""
    status, answer = post(path, body, headers)
    if status != 200 or answer["code"] != 0:
        raise AssertionError(f"{path}: {status} {answer}")
    return answer["data"]


def refused(path: str, code: int, fragment: str, **body) -> None:
    status, answer = post(path, body)
    if (status, answer["code"]) != (200, code) or fragment not in answer["message"]:
        raise AssertionError(f"{path}: {status} {answer}, want {code} with {fragment!r}")


def row(i: int) -> dict:
    return {"id": KEYS[i], "vector": VECTORS[i].tolist(), "color": f"c{i % 7}", "tags": {"n": [i]}}


def nearest(query, allowed, count: int) -> list[int]:
    distances = ((VECTORS - query) ** 2).sum(axis=1)
    distances[~allowed] = numpy.inf
    return [KEYS[i] for i in numpy.argsort(distances, kind="stable")[:count]]


def quick(client: pymilvus.MilvusClient) -> None:
    """A collection by its dimension: made, indexed and loaded at once; rows by REST and by the SDK."""
    name = "rest_quick"
    expect(ask("collections/create", collectionName=name, dimension=DIMENSION, metricType="L2"), {})
    expect(ask("collections/has", collectionName=name), {"has": True})
    expect(name in ask("collections/list"), True)
    expect(client.list_indexes(name), ["vector"])
    written = ask("entities/insert", collectionName=name, data=[row(i) for i in range(ROWS // 2)])
    expect(written, {"insertCount": ROWS // 2, "insertIds": KEYS[:ROWS // 2]})
    expect(client.insert(name, [row(i) for i in range(ROWS // 2, ROWS)])["insert_count"], ROWS - ROWS // 2)
    strong = {"collectionName": name, "consistencyLevel": "Strong"}
    expect(ask("entities/query", filter="id > 0", outputFields=["count(*)"], **strong), [{"count(*)": ROWS}])
    expect(client.query(name, filter="id > 0", output_fields=["count(*)"], consistency_level="Strong")[0]["count(*)"], ROWS)

    everyone = numpy.ones(ROWS, dtype=bool)
    queries = [VECTORS[3], VECTORS[700]]
    body = {"data": [query.tolist() for query in queries], "annsField": "vector", "limit": 5, "outputFields": ["color"]} | strong
    status, found = post("entities/search", body)
    expect((status, found["code"], found["topks"]), (200, 0, [5, 5]))
    for i, query in enumerate(queries):
        hits = found["data"][i * 5:i * 5 + 5]
        expect([hit["id"] for hit in hits], nearest(query, everyone, 5))
        expect([hit["color"] for hit in hits], [f"c{(hit['id'] - KEYS[0]) % 7}" for hit in hits])
        sdk = client.search(name, [query.tolist()], limit=5, consistency_level="Strong")[0]
        expect([hit["id"] for hit in hits], [hit["id"] for hit in sdk])
        numpy.testing.assert_allclose([hit["distance"] for hit in hits], [hit["distance"] for hit in sdk], rtol=1e-6)
    some = numpy.array([i % 7 == 3 for i in range(ROWS)])
    hits = ask("entities/search", filter='color == {color}', exprParams={"color": "c3"}, data=[VECTORS[3].tolist()], limit=5, **strong)
    expect([hit["id"] for hit in hits], nearest(VECTORS[3], some, 5))

    read = ask("entities/get", id=KEYS[5], **strong)
    expect(numpy.float32(read[0]["vector"]).tolist(), VECTORS[5].tolist())
    expect({key: read[0][key] for key in ("id", "color", "tags")}, {"id": KEYS[5], "color": "c5", "tags": {"n": [5]}})
    texts = ask("entities/get", {"Accept-Type-Allow-Int64": "false"}, id=[str(KEYS[5]), KEYS[6]], outputFields=["id"], **strong)
    expect(sorted(line["id"] for line in texts), [str(KEYS[5]), str(KEYS[6])])

    expect(ask("entities/upsert", collectionName=name, data=row(5) | {"color": "new"}), {"upsertCount": 1, "upsertIds": [KEYS[5]]})
    expect(client.get(name, ids=[KEYS[5]], output_fields=["color"], consistency_level="Strong")[0]["color"], "new")
    expect(ask("entities/delete", collectionName=name, id=KEYS[:2]), {"deleteCount": 2})
    expect(ask("entities/delete", collectionName=name, filter='color == "new"'), {"deleteCount": 1})
    left = client.query(name, filter="id > 0", output_fields=["count(*)"], consistency_level="Strong")[0]["count(*)"]
    expect(left, ROWS - 3)
    expect(ask("collections/flush", collectionName=name), {})

    described = ask("collections/describe", collectionName=name)
    expect(described["collectionID"], client.describe_collection(name)["collection_id"])
    expect([(field["name"], field["type"]) for field in described["fields"]], [("id", "Int64"), ("vector", "FloatVector")])
    expect((described["load"], described["enableDynamicField"]), ("LoadStateLoaded", True))
    expect(ask("collections/drop", collectionName=name), {})
    expect(client.has_collection(name), False)


def full(client: pymilvus.MilvusClient) -> None:
    """A collection by its fields: text keys made by the server, null and default values, a document, partitions, indexes."""
    name = "rest_full"
    fields = [
        {"fieldName": "key", "dataType": "VarChar", "isPrimary": True, "elementTypeParams": {"max_length": 64}},
        {"fieldName": "number", "dataType": "Int64", "nullable": True},
        {"fieldName": "size", "dataType": "Double", "defaultValue": 0.5},
        {"fieldName": "document", "dataType": "JSON"},
        {"fieldName": "vector", "dataType": "FloatVector", "elementTypeParams": {"dim": DIMENSION}},
    ]
    ask("collections/create", collectionName=name, schema={"autoID": True, "fields": fields}, params={"consistencyLevel": "Strong"})
    expect(ask("collections/get_load_state", collectionName=name), {"loadState": "LoadStateNotLoad"})
    index = {"fieldName": "vector", "indexName": "by_vector", "metricType": "COSINE", "indexType": "HNSW",
             "params": {"M": 16, "efConstruction": 100}}
    ask("indexes/create", collectionName=name, indexParams=[index])
    expect(ask("indexes/list", collectionName=name), ["by_vector"])
    expect(client.describe_index(name, "by_vector")["index_type"], "HNSW")
    ask("partitions/create", collectionName=name, partitionName="late")
    expect(ask("partitions/list", collectionName=name), ["_default", "late"])
    ask("collections/load", collectionName=name)

    rows = [
        {"number": 2**62, "size": 1.5, "document": {"a": [1, {"b": None}]}, "vector": VECTORS[0].tolist()},
        {"number": None, "document": "[1, 2]", "vector": VECTORS[1].tolist()},
    ]
    keys = ask("entities/insert", collectionName=name, data=rows, partitionName="late")["insertIds"]
    expect((len(keys), all(isinstance(key, str) for key in keys)), (2, True))
    read = {line["key"]: line for line in ask("entities/query", collectionName=name, filter="", limit=10, partitionNames=["late"])}
    expect((read[keys[0]]["number"], read[keys[0]]["size"]), (2**62, 1.5))
    expect((read[keys[1]]["number"], read[keys[1]]["size"]), (None, 0.5))
    expect([json.loads(read[key]["document"]) for key in keys], [{"a": [1, {"b": None}]}, [1, 2]])
    sdk = {line["key"]: line for line in client.query(name, filter="", limit=10)}
    expect([sdk[key]["document"] for key in keys], [{"a": [1, {"b": None}]}, [1, 2]])
    expect([sdk[key]["number"] for key in keys], [2**62, None])
    expect(ask("entities/query", collectionName=name, filter='document["a"][0] == 1', outputFields=["key"]), [{"key": keys[0]}])
    expect(ask("entities/get", collectionName=name, id=keys[1], outputFields=["number"])[0]["number"], None)

    refused("entities/insert", 1804, "has pass more field without dynamic schema, please check it", collectionName=name,
            data=rows[0] | {"color": "red"})
    refused("entities/insert", 1804, "doesn't equal to vector dimension", collectionName=name, data=rows[0] | {"vector": [1.0]})
    refused("entities/search", 1801, f"dimension: {DIMENSION}, but length of []float: 1", collectionName=name, data=[[1.0]])
    ask("collections/release", collectionName=name)
    refused("entities/query", 101, "collection not loaded", collectionName=name, filter="number > 0")
    ask("collections/drop", collectionName=name)


def manners() -> None:
    """What is refused, and how: HTTP's status, the code, the text."""
    refused("collections/describe", 100, "can't find collection[database=default][collection=absent]", collectionName="absent")
    refused("collections/create", 1802, "missing required parameters, error: ", dimension=3)
    refused("collections/list", 800, "database not found[database=absent]", dbName="absent")
    expect(post("collections/list", b"{")[1]["code"], 1801)
    expect(post("collections/list", b"")[1]["code"], 1801)
    expect(post("collections/list", {}, {"Request-Timeout": "soon"})[1]["code"], 1100)
    expect(post("collections/list", {}, {"DB-Name": "absent"})[1]["code"], 800)
    expect(post("collections/absent", {})[0], 404)


def older(client: pymilvus.MilvusClient) -> None:
    """REST v1."""
    def v1(path: str, body: dict | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{SERVER.uri}/v1/vector/{path}", data), timeout=60) as answer:
            return json.load(answer)
    name, strong = "rest_v1", {"consistencyLevel": "Strong"}
    expect(v1("collections/create", {"collectionName": name, "dimension": DIMENSION}), {"code": 200, "data": {}})
    expect(name in v1("collections")["data"], True)
    expect(client.list_indexes(name), ["vector_idx"])
    keys = v1("insert", {"collectionName": name, "data": [{"vector": vector.tolist()} for vector in VECTORS[:10]]})["data"]["insertIds"]
    expect(v1("query", {"collectionName": name, "filter": f"id == {keys[3]}", "outputFields": ["id"]} | strong)["data"], [{"id": keys[3]}])
    expect(v1(f"collections/describe?collectionName={name}")["data"]["fields"][1]["type"], f"FloatVector({DIMENSION})")
    found = client.query(name, filter="id > 0", output_fields=["id"], consistency_level="Strong")
    expect(sorted(row["id"] for row in found), sorted(keys))
    expect(v1("search", {"collectionName": name, "vector": VECTORS[3].tolist(), "limit": 1} | strong)["data"][0]["id"], keys[3])
    expect(v1("collections/drop", {"collectionName": name}), {"code": 200, "data": {}})


def main() -> None:
    client = pymilvus.MilvusClient(SERVER.uri)
    try:
        quick(client)
        full(client)
        manners()
        older(client)
        client.close()
        expect(SERVER.stop(), 0)
    except BaseException:
        print(f"the server's log ends with:\n{SERVER.log()}")
        raise
    finally:
        SERVER.close()
    print(f"REST beside pymilvus {pymilvus.__version__}: ok")


if __name__ == "__main__":
    main()
