"""Every index over every type of vector through a real SDK, against brute force in numpy.

    ELANUS_BIN=… python vector_indexes.py

A collection for each pair of index and metric, searched while its rows grow, when they are flushed and indexed, and beside rows that came
later: scores are right, results are never short, and enough of the nearest are found. Then the texts for what can't be built.
"""
# sdk: pymilvus-3.0.2
# fixture: standalone

import time

import numpy
import pymilvus
from pymilvus import DataType

from _server import fixture

ROWS, LATER, QUERIES, LIMIT, DIMENSION = 5000, 200, 10, 10, 64
WAIT_SECONDS_MAX = 120
RANDOM = numpy.random.default_rng(19530)

CENTRES = RANDOM.normal(size=(30, DIMENSION))
FLOATS = numpy.float32(CENTRES[RANDOM.integers(0, 30, ROWS + LATER)] + RANDOM.normal(size=(ROWS + LATER, DIMENSION)) * 0.6)
QUERY_FLOATS = numpy.float32(FLOATS[RANDOM.integers(0, ROWS, QUERIES)] + RANDOM.normal(size=(QUERIES, DIMENSION)) * 0.2)


def bfloats(values):
    """Rounded towards zero: numpy has no such type."""
    return (numpy.ascontiguousarray(numpy.float32(values)).view(numpy.uint32) >> 16).astype(numpy.uint16)


def widened(halves):
    return (halves.astype(numpy.uint32) << 16).view(numpy.float32)


def sparse(count: int):
    drawn = [sorted({int(500 * RANDOM.random() ** 3) * 7 for _ in range(20)}) for _ in range(count)]
    return [{index: float(numpy.float32(RANDOM.random())) for index in indices} for indices in drawn]


class Vectors:
    """Rows and queries of one type: as they are sent, and as they are computed with."""

    def __init__(self, data_type: str):
        self.data_type = data_type
        both = {"FLOAT_VECTOR": self.floats, "FLOAT16_VECTOR": self.halves, "BFLOAT16_VECTOR": self.bfloats, "INT8_VECTOR": self.bytes,
                "BINARY_VECTOR": self.bits, "SPARSE_FLOAT_VECTOR": self.sparse}[data_type]
        (self.sent, self.values), (self.sent_queries, self.queries) = both(FLOATS), both(QUERY_FLOATS)

    def floats(self, values):
        return [row.tolist() for row in values], values

    def halves(self, values):
        halves = numpy.float16(values)
        return list(halves), numpy.float32(halves)

    def bfloats(self, values):
        upper = bfloats(values)
        return [row.tobytes() for row in upper], widened(upper)

    def bytes(self, values):
        small = numpy.int8(numpy.clip(values * 25, -128, 127))
        return list(small), numpy.float32(small)

    def bits(self, values):
        packed = numpy.packbits(values > 0.5, axis=1, bitorder="little")
        return [row.tobytes() for row in packed], packed

    def sparse(self, values):
        made = sparse(len(values))
        return made, made

    def scores(self, metric: str, query: int, rows: int):
        """Of each row; NaN where it doesn't match."""
        if self.data_type == "SPARSE_FLOAT_VECTOR":
            wanted = self.queries[query]
            shared = lambda row: [value * row[index] for index, value in wanted.items() if index in row]
            return numpy.array([sum(products) if (products := shared(row)) else numpy.nan for row in self.values[:rows]])
        row, all_rows = self.queries[query], self.values[:rows]
        if metric == "L2":
            return ((all_rows - row) ** 2).sum(axis=1)
        if metric == "IP":
            return all_rows @ row
        if metric == "COSINE":
            return all_rows @ row / numpy.linalg.norm(all_rows, axis=1) / numpy.linalg.norm(row)
        count = lambda bits: numpy.unpackbits(bits, axis=1).sum(axis=1).astype(float)
        if metric == "HAMMING":
            return count(all_rows ^ row)
        if metric == "JACCARD":
            return 1 - count(all_rows & row) / count(all_rows | row)
        outside = count(all_rows & ~row) if metric == "SUBSTRUCTURE" else count(row & ~all_rows)
        return numpy.where(outside == 0, 0.0, numpy.nan)


NUMBERS = ("L2", "IP", "COSINE")
LISTS = {"nlist": 64}, {"nprobe": 16}
GRAPH = {"M": 16, "efConstruction": 120}, {"ef": 80}
NONE = {}, {}
CASES = [("FLOAT_VECTOR", index, metric, *params) for metric in NUMBERS
         for index, params in (("FLAT", NONE), ("IVF_FLAT", LISTS), ("IVF_SQ8", LISTS), ("HNSW", GRAPH), ("AUTOINDEX", NONE))]
CASES += [("BINARY_VECTOR", "BIN_FLAT", metric, *NONE) for metric in ("HAMMING", "JACCARD", "SUBSTRUCTURE", "SUPERSTRUCTURE")]
CASES += [("BINARY_VECTOR", "BIN_IVF_FLAT", metric, *LISTS) for metric in ("HAMMING", "JACCARD")]
CASES += [(data_type, index, metric, *params) for data_type in ("FLOAT16_VECTOR", "BFLOAT16_VECTOR")
          for index, metric, params in (("FLAT", "L2", NONE), ("IVF_FLAT", "IP", LISTS), ("IVF_SQ8", "COSINE", LISTS), ("HNSW", "COSINE", GRAPH), ("AUTOINDEX", "L2", NONE))]
CASES += [("INT8_VECTOR", index, metric, *params) for index, metric, params in (("HNSW", "L2", GRAPH), ("HNSW", "COSINE", GRAPH), ("AUTOINDEX", "IP", NONE))]
CASES += [("BINARY_VECTOR", "AUTOINDEX", "JACCARD", *NONE)]
CASES += [("SPARSE_FLOAT_VECTOR", index, "IP", *params) for index, params in
          (("SPARSE_INVERTED_INDEX", NONE), ("SPARSE_WAND", ({}, {"drop_ratio_search": 0.2})), ("AUTOINDEX", NONE))]
EXACT = ("FLAT", "BIN_FLAT", "SPARSE_INVERTED_INDEX", "AUTOINDEX")


class Case:
    def __init__(self, vectors: Vectors, index: str, metric: str, build: dict, search: dict):
        self.vectors, self.index, self.metric, self.build, self.search = vectors, index, metric, build, search
        self.name = f"{vectors.data_type}_{index}_{metric}"

    def create(self) -> None:
        dim = {} if self.vectors.data_type == "SPARSE_FLOAT_VECTOR" else {"dim": DIMENSION}
        fields = [pymilvus.FieldSchema("id", DataType.INT64, is_primary=True),
                  pymilvus.FieldSchema("vector", DataType[self.vectors.data_type], **dim)]
        self.collection = pymilvus.Collection(self.name, pymilvus.CollectionSchema(fields), consistency_level="Strong")
        self.collection.create_index("vector", {"index_type": self.index, "metric_type": self.metric, "params": self.build})
        described = self.collection.index().params
        assert (described["index_type"], described["metric_type"]) == (self.index, self.metric), described
        self.collection.load()

    def insert(self, start: int, end: int) -> None:
        for at in range(start, end, 1000):
            keys = range(at, min(at + 1000, end))
            vectors = [self.vectors.sent[key] for key in keys]
            # By columns the SDK takes half floats of its own types alone.
            self.collection.insert([{"id": key, "vector": vector} for key, vector in zip(keys, vectors)])

    def check(self, rows: int, what: str) -> None:
        params = {"metric_type": self.metric, "params": self.search}
        answers = self.collection.search(self.vectors.sent_queries, "vector", params, limit=LIMIT)
        right = wanted = 0
        sign = -1 if self.metric in ("IP", "COSINE") else 1
        for query, hits in enumerate(answers):
            scores = self.vectors.scores(self.metric, query, rows)
            nearest = numpy.sort(sign * scores[~numpy.isnan(scores)])[:LIMIT]
            assert len(hits) == len(nearest), f"{self.name}, {what}: {len(hits)} of {len(nearest)} hits"
            found = [hit.distance for hit in hits]
            assert numpy.allclose(found, scores[[hit.id for hit in hits]], rtol=1e-3, atol=1e-3), f"{self.name}, {what}: {found}"
            if len(nearest):
                right += (sign * numpy.array(found) <= nearest[-1] + 1e-3 * abs(nearest[-1]) + 1e-4).sum()
            wanted += len(nearest)
        floor = 1 if self.index in EXACT and rows < 4000 or self.index in EXACT[:3] else 0.9
        assert right >= floor * wanted, f"{self.name}, {what}: {right} of {wanted} found"

    def wait(self) -> None:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while (progress := pymilvus.utility.index_building_progress(self.name))["indexed_rows"] < progress["total_rows"]:
            assert time.monotonic() < deadline, f"{self.name}: {progress}"
            time.sleep(0.2)


def refused(collection, params: dict, text: str) -> None:
    try:
        collection.create_index("vector", params)
    except pymilvus.MilvusException as error:
        assert text in str(error), f"{error} instead of {text}"
    else:
        raise AssertionError(f"{params} isn't refused")


def check_texts() -> None:
    fields = [pymilvus.FieldSchema("id", DataType.INT64, is_primary=True), pymilvus.FieldSchema("vector", DataType.BINARY_VECTOR, dim=DIMENSION)]
    collection = pymilvus.Collection("refused", pymilvus.CollectionSchema(fields))
    refused(collection, {"index_type": "BIN_FLAT", "metric_type": "L2", "params": {}}, "binary vector index does not support metric type: L2")
    refused(collection, {"index_type": "HNSW", "metric_type": "HAMMING", "params": {}}, "data type BinaryVector can't build with this index HNSW")
    refused(collection, {"index_type": "BIN_IVF_FLAT", "metric_type": "SUBSTRUCTURE", "params": {"nlist": 8}}, "not found or not supported")
    refused(collection, {"index_type": "BIN_IVF_FLAT", "metric_type": "JACCARD", "params": {"nlist": 0}},
            "Out of range in json: param 'nlist' (0) should be in range [1, 65536]")


def main() -> None:
    server = fixture()
    pymilvus.connections.connect("default", host="127.0.0.1", port=str(server.port))
    made = {data_type: Vectors(data_type) for data_type in dict.fromkeys(case[0] for case in CASES)}
    cases = [Case(made[data_type], *rest) for data_type, *rest in CASES]
    for case in cases:
        case.create()
        case.insert(0, ROWS)
        case.check(ROWS, "growing")
        case.collection.flush()
        case.wait()
        case.check(ROWS, "indexed")
        case.insert(ROWS, ROWS + LATER)
        case.check(ROWS + LATER, "indexed and growing")
        case.collection.release()
    check_texts()
    server.close()
    print(f"vector_indexes: {len(cases)} pairs of index and metric, {ROWS + LATER} rows")


main()
