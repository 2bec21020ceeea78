"""The main job through a real SDK, whose interpreter runs this file: through each style of client that the SDK has.

    ELANUS_BIN=… python main_job.py [orm|client|async]…

Creates a collection (VarChar key, two shards), inserts 3,000 rows, flushes, indexes (IVF_FLAT), loads, searches, queries, searches
with a filter, deletes by key, drops. Every answer is compared with one computed here. Then the same once more with a server that is
killed after every step and started again, where the next step connects anew: nothing may be lost and nothing need be loaded again.
The last run of each SDK is against a server whose roles speak over gRPC instead of in process. On a cluster every collection has two replicas, and
a kill takes two processes, the next ones in turn.
"""
# fixture: standalone cluster

import asyncio
import sys
import warnings

import numpy
import pymilvus

from _server import fixture, is_cluster

warnings.filterwarnings("ignore", category=DeprecationWarning)
warnings.filterwarnings("ignore", message=".*ORM-style.*")

NAME = "hello_elanus"
ROWS, DIMENSION, LIMIT = 3_000, 8, 3
KEYS = [str(i) for i in range(ROWS)]
RANDOM = numpy.random.default_rng(19530)
NUMBERS = RANDOM.random(ROWS)
VECTORS = RANDOM.random((ROWS, DIMENSION), dtype=numpy.float32)
QUERIES = VECTORS[-2:]
INDEX = {"index_type": "IVF_FLAT", "metric_type": "L2", "params": {"nlist": 128}}
SEARCH = {"metric_type": "L2", "params": {"nprobe": 128}}


def nearest(query, allowed) -> list[str]:
    """Keys of the LIMIT nearest rows among those allowed (a mask), nearest first."""
    distances = ((VECTORS - query) ** 2).sum(axis=1)
    distances[~allowed] = numpy.inf
    return [KEYS[i] for i in numpy.argsort(distances, kind="stable")[:LIMIT]]


ALL = numpy.ones(ROWS, dtype=bool)
WITHOUT_DELETED = ALL.copy()
WITHOUT_DELETED[:2] = False


def expect(actual, wanted) -> None:
    if actual != wanted:
        raise AssertionError(f"got {actual!r}, want {wanted!r}")


class Orm:
    """The classes that hello_milvus has used since 2.0."""

    def connect(self, server):
        self.replicas = server.replicas
        pymilvus.connections.disconnect("default")
        pymilvus.connections.connect("default", host="127.0.0.1", port=str(server.port))

    def collection(self):
        return pymilvus.Collection(NAME)

    def create(self):
        fields = [
            pymilvus.FieldSchema("pk", pymilvus.DataType.VARCHAR, is_primary=True, auto_id=False, max_length=100),
            pymilvus.FieldSchema("random", pymilvus.DataType.DOUBLE),
            pymilvus.FieldSchema("embeddings", pymilvus.DataType.FLOAT_VECTOR, dim=DIMENSION),
        ]
        expect(pymilvus.utility.has_collection(NAME), False)
        schema = pymilvus.CollectionSchema(fields, "the main job")
        pymilvus.Collection(NAME, schema, consistency_level="Strong", shards_num=2)
        expect(pymilvus.utility.has_collection(NAME), True)

    def insert(self):
        result = self.collection().insert([KEYS, NUMBERS.tolist(), VECTORS.tolist()])
        expect(result.insert_count, ROWS)

    def flush(self):
        self.collection().flush()
        expect(self.collection().num_entities, ROWS)

    def index(self):
        self.collection().create_index("embeddings", INDEX)

    def load(self):
        self.collection().load(replica_number=self.replicas)

    def search(self, allowed=ALL, expr=None):
        found = self.collection().search(QUERIES.tolist(), "embeddings", SEARCH, limit=LIMIT, expr=expr, output_fields=["random"])
        for query, hits in zip(QUERIES, found):
            expect([hit.id for hit in hits], nearest(query, allowed))
            for hit in hits:
                expect(hit.entity.get("random"), NUMBERS[int(hit.id)])

    def query(self):
        rows = self.collection().query(expr="random > 0.5", output_fields=["random", "embeddings"])
        expect(sorted(row["pk"] for row in rows), sorted(KEYS[i] for i in numpy.flatnonzero(NUMBERS > 0.5)))
        for row in rows[:50]:
            expect(numpy.float32(row["embeddings"]).tolist(), VECTORS[int(row["pk"])].tolist())
        page = self.collection().query(expr="random > 0.5", offset=5, limit=4, output_fields=["pk"])
        expect([row["pk"] for row in page], sorted(row["pk"] for row in rows)[5:9])
        expect(self.collection().query(expr="random > 0.5", output_fields=["count(*)"])[0]["count(*)"], len(rows))

    def filtered_search(self):
        self.search(NUMBERS > 0.5, "random > 0.5")

    def delete(self):
        self.collection().delete(f'pk in ["{KEYS[0]}", "{KEYS[1]}"]')
        rows = self.collection().query(expr=f'pk in ["{KEYS[0]}", "{KEYS[1]}", "{KEYS[2]}"]', output_fields=["pk"])
        expect([row["pk"] for row in rows], [KEYS[2]])
        self.search(WITHOUT_DELETED)

    def drop(self):
        pymilvus.utility.drop_collection(NAME)
        expect(pymilvus.utility.has_collection(NAME), False)


STEPS = ["create", "insert", "flush", "index", "load", "search", "query", "filtered_search", "delete", "drop"]


class Client:
    """MilvusClient."""

    def connect(self, server):
        self.replicas = server.replicas
        self.client = pymilvus.MilvusClient(server.uri)

    def create(self):
        schema = pymilvus.MilvusClient.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("pk", pymilvus.DataType.VARCHAR, is_primary=True, max_length=100)
        schema.add_field("random", pymilvus.DataType.DOUBLE)
        schema.add_field("embeddings", pymilvus.DataType.FLOAT_VECTOR, dim=DIMENSION)
        expect(self.client.has_collection(NAME), False)
        self.client.create_collection(NAME, schema=schema, num_shards=2, consistency_level="Strong")
        expect(self.client.has_collection(NAME), True)
        expect(NAME in self.client.list_collections(), True)

    def insert(self):
        rows = [{"pk": k, "random": r, "embeddings": v, "color": f"c{int(k) % 7}"} for k, r, v in zip(KEYS, NUMBERS.tolist(), VECTORS.tolist())]
        expect(self.client.insert(NAME, rows)["insert_count"], ROWS)

    def flush(self):
        self.client.flush(NAME)
        expect(self.client.get_collection_stats(NAME)["row_count"], ROWS)

    def index(self):
        params = self.client.prepare_index_params()
        params.add_index("embeddings", index_type="IVF_FLAT", metric_type="L2", params={"nlist": 128})
        self.client.create_index(NAME, params)
        expect(self.client.describe_index(NAME, "embeddings")["index_type"], "IVF_FLAT")

    def load(self):
        self.client.load_collection(NAME, replica_number=self.replicas)

    def search(self, allowed=ALL, expr=""):
        found = self.client.search(NAME, QUERIES.tolist(), filter=expr, limit=LIMIT, output_fields=["random", "color"], search_params=SEARCH)
        for query, hits in zip(QUERIES, found):
            expect([hit["pk"] for hit in hits], nearest(query, allowed))
            for hit in hits:
                expect(hit["entity"]["random"], NUMBERS[int(hit["pk"])])
                expect(hit["entity"]["color"], f"c{int(hit['pk']) % 7}")

    def query(self):
        rows = self.client.query(NAME, filter='random > 0.5 and color == "c3"', output_fields=["random"])
        wanted = [KEYS[i] for i in numpy.flatnonzero(NUMBERS > 0.5) if i % 7 == 3]
        expect(sorted(row["pk"] for row in rows), sorted(wanted))
        expect(self.client.query(NAME, filter="random > 0.5", output_fields=["count(*)"])[0]["count(*)"], int((NUMBERS > 0.5).sum()))
        expect([row["pk"] for row in self.client.get(NAME, ids=[KEYS[7]])], [KEYS[7]])

    def filtered_search(self):
        self.search(NUMBERS > 0.5, "random > 0.5")

    def delete(self):
        expect(self.client.delete(NAME, ids=KEYS[:2])["delete_count"], 2)
        expect([row["pk"] for row in self.client.get(NAME, ids=KEYS[:3])], [KEYS[2]])
        self.search(WITHOUT_DELETED)

    def drop(self):
        self.client.drop_collection(NAME)
        expect(self.client.has_collection(NAME), False)


class Async(Client):
    """AsyncMilvusClient for what it has, MilvusClient for the rest."""

    def connect(self, server):
        super().connect(server)
        self.uri = server.uri

    def run(self, work):
        async def session():
            client = pymilvus.AsyncMilvusClient(self.uri)
            try:
                return await work(client)
            finally:
                await client.close()
        return asyncio.run(session())

    def insert(self):
        rows = [{"pk": k, "random": r, "embeddings": v, "color": f"c{int(k) % 7}"} for k, r, v in zip(KEYS, NUMBERS.tolist(), VECTORS.tolist())]

        async def work(client):
            parts = await asyncio.gather(*(client.insert(NAME, rows[i::10]) for i in range(10)))
            return sum(part["insert_count"] for part in parts)
        expect(self.run(work), ROWS)

    def search(self, allowed=ALL, expr=""):
        async def work(client):
            return await asyncio.gather(*(
                client.search(NAME, [query.tolist()], filter=expr, limit=LIMIT, output_fields=["random"], search_params=SEARCH)
                for query in QUERIES))
        for query, found in zip(QUERIES, self.run(work)):
            expect([hit["pk"] for hit in found[0]], nearest(query, allowed))

    def load(self):
        self.run(lambda client: client.load_collection(NAME, replica_number=self.replicas))

    def drop(self):
        self.run(lambda client: client.drop_collection(NAME))
        expect(self.client.has_collection(NAME), False)


FLAVOURS = {"orm": Orm, "client": Client, "async": Async}


def run(flavour: str, kill: bool, environment: dict[str, str] | None = None, config: str | None = None) -> None:
    job = FLAVOURS[flavour]()
    server = fixture(environment, config)
    step = "connect"
    try:
        job.connect(server)
        for step in STEPS:
            getattr(job, step)()
            if kill:
                server.kill()
                server.start()
                job.connect(server)
        step = "stop"
        expect(server.stop(), 0)
    except BaseException:
        print(f"{flavour} failed at step {step}; the server's log ends with:\n{server.log()}", file=sys.stderr)
        raise
    finally:
        server.close()
    ways = [flavour] + ["a kill after every step"] * kill + ["roles over gRPC"] * bool(environment)
    ways += ["external storage"] * bool(config) + ["a cluster"] * is_cluster()
    print(f"pymilvus {pymilvus.__version__}, {', '.join(ways)}: ok", flush=True)


def main() -> None:
    there = ["orm"] + ["client"] * hasattr(pymilvus, "AsyncMilvusClient") + ["async"] * hasattr(pymilvus, "AsyncMilvusClient")
    for flavour in sys.argv[1:] or there:
        for kill in (False, True):
            run(flavour, kill)
    if not is_cluster():
        run(there[-1], False, {"ELANUS_LOOPBACK": "1"})


if __name__ == "__main__":
    main()
