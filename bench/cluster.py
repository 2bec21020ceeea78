"""The price of the network: the same small job on a standalone server, on one over the cluster's storage, and on the cluster, in one run.

    ELANUS_BIN=… ELANUS_TEST_ETCD=… … python cluster.py [--quick]

Rounds alternate between the three, so that whatever else the machine does meets them alike. Requests are prepared before the clock runs and sent
over plain gRPC, one at a time: an SDK's own time would hide a part of the difference. Hops are means of what the processes' metrics counted
meanwhile. Writes bench/results/cluster.md; `--quick` takes fewer rows and writes nothing.
"""

import os
import pathlib
import re
import shutil
import statistics
import struct
import sys
import tempfile
import time
import urllib.request

import grpc
import numpy
import pymilvus
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc, schema_pb2

from _data import NEIGHBOURS, glove100, nearest
from _machine import machine
from _target import Elanus

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scripts"))
from cluster import MEMBERS, SERVERS, Cluster  # noqa: E402, the path is set above

NAME = "glove100"
DIMENSION = 100
SHARDS, REPLICAS = 2, 2
ROWS = 100_000
ROUNDS, SEARCHES, STRONG = 5, 200, 100
EF = 64
# The first of the keys that are written one by one.
FRESH = 10_000_000
EVENTUALLY, STRONGLY = common_pb2.ConsistencyLevel.Eventually, common_pb2.ConsistencyLevel.Strong
EXTERNAL = """
etcd: {{endpoints: '{etcd}', rootPath: {name}}}
mq: {{type: kafka}}
kafka: {{brokerList: '{kafka}'}}
minio: {{address: '{s3}', accessKeyID: '{key}', secretAccessKey: '{secret}', bucketName: '{bucket}', rootPath: {name}}}
common: {{storageType: remote}}
msgChannel: {{chanNamePrefix: {{cluster: {name}}}}}
localStorage: {{path: '{data}'}}
"""


class OnServers(Elanus):
    """A standalone server over the storage that a cluster has."""

    name = "on-servers"

    def command(self):
        config = self.directory / "milvus.yaml"
        etcd, kafka, s3, key, secret, bucket = (os.environ[name] for name in SERVERS)
        config.write_text(EXTERNAL.format(etcd=etcd, kafka=kafka, s3=s3, key=key, secret=secret, bucket=bucket, name=self.directory.name, data=self.data))
        _, environment = super().command()
        return [os.environ["ELANUS_BIN"], "run", "standalone", "--config", str(config)], environment


class OnCluster:
    """A cluster; clients speak to one proxy."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="cluster-", dir=os.environ.get("ELANUS_SERVERS_DATA"))
        self.cluster = Cluster.create(self.directory, os.environ["ELANUS_BIN"], {name: os.environ[name] for name in SERVERS}, channels=4)
        self.port = self.cluster.members["proxy1"]["port"]

    @property
    def health_ports(self) -> list[int]:
        return [self.cluster.members[name]["metrics"] for name in MEMBERS]

    def start(self) -> None:
        self.cluster.up()

    def close(self) -> None:
        self.cluster.remove()
        shutil.rmtree(self.directory, ignore_errors=True)


class Subject:
    """One target with a collection, a connection and what was measured."""

    def __init__(self, name: str, target, replicas: int = 1):
        self.name, self.target, self.replicas = name, target, replicas
        self.ports = target.health_ports if isinstance(target, OnCluster) else [target.health_port]
        self.times: dict[str, list[float]] = {}
        self.hops: dict[str, dict[str, tuple[float, float]]] = {}
        self.found: list[list[int]] = []
        self.fresh = FRESH

    def prepare(self, rows) -> None:
        self.target.start()
        uri = f"http://127.0.0.1:{self.target.port}"
        client = pymilvus.MilvusClient(uri)
        schema = pymilvus.MilvusClient.create_schema(auto_id=False)
        schema.add_field("id", pymilvus.DataType.INT64, is_primary=True)
        schema.add_field("vector", pymilvus.DataType.FLOAT_VECTOR, dim=DIMENSION)
        client.create_collection(NAME, schema=schema, num_shards=SHARDS, consistency_level="Strong")
        for i in range(0, len(rows), 5_000):
            client.insert(NAME, [{"id": i + n, "vector": row} for n, row in enumerate(rows[i:i + 5_000])])
        client.flush(NAME)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="COSINE", params={"M": 16, "efConstruction": 100})
        client.create_index(NAME, index)
        while client.describe_index(NAME, "vector").get("pending_index_rows", 0) > 0:
            time.sleep(0.1)
        client.load_collection(NAME, replica_number=self.replicas)
        client.close()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.target.port}")
        self.stub = milvus_pb2_grpc.MilvusServiceStub(self.channel)
        # Indexes come to the nodes by and by; nothing is measured before.
        for _ in range(200):
            self.once(search(rows[0], EVENTUALLY))

    def once(self, request):
        call = {"SearchRequest": self.stub.Search, "QueryRequest": self.stub.Query, "InsertRequest": self.stub.Insert}[type(request).__name__]
        answer = call(request, timeout=60)
        if answer.status.code != 0:
            raise RuntimeError(f"{self.name}: {answer.status.reason}")
        return answer

    def timed(self, what: str, request):
        began = time.perf_counter()
        answer = self.once(request)
        self.times.setdefault(what, []).append((time.perf_counter() - began) * 1e3)
        return answer

    def round(self, queries, vectors) -> None:
        with Metered(self, "search"):
            for query in queries:
                self.found.append(list(self.timed("search", search(query, EVENTUALLY)).results.ids.int_id.data))
        with Metered(self, "strong search"):
            for query in queries[:STRONG]:
                self.timed("strong search", search(query, STRONGLY))
        with Metered(self, "write and strong read"):
            for row in vectors:
                self.fresh += 1
                self.timed("write of a row", insert(self.fresh, row))
                answer = self.timed("strong read of it", query_of(self.fresh))
                assert list(answer.fields_data[0].scalars.long_data.data) == [self.fresh], answer
                self.times.setdefault("write, then strong read", []).append(self.times["write of a row"][-1] + self.times["strong read of it"][-1])


class Metered:
    """What the processes' histograms count meanwhile."""

    def __init__(self, subject: Subject, phase: str):
        self.subject, self.phase = subject, phase

    def __enter__(self):
        self.before = scrape(self.subject.ports)

    def __exit__(self, *_):
        hops = self.subject.hops.setdefault(self.phase, {})
        for series, (total, count) in scrape(self.subject.ports).items():
            before = self.before.get(series, (0.0, 0.0))
            known = hops.get(series, (0.0, 0.0))
            hops[series] = (known[0] + total - before[0], known[1] + count - before[1])


def scrape(ports: list[int]) -> dict[str, tuple[float, float]]:
    """Sum and count of each histogram of milliseconds, by name and the label that tells kinds apart."""
    sums: dict[str, list[float]] = {}
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        for name, part, labels, value in re.findall(r"^(milvus_\w+_latency)_(sum|count)\{(.*?)\} (\S+)$", text, re.MULTILINE):
            kind = re.search(r'(?:query_type|msg_type|message_op_type)="(\w+)"', labels)
            sums.setdefault(f"{name} {kind.group(1) if kind else ''}".strip(), [0.0, 0.0])[part == "count"] += float(value)
    return {series: (total, count) for series, (total, count) in sums.items()}


def search(query, level: int):
    tag = common_pb2.PlaceholderValue(tag="$0", type=common_pb2.PlaceholderType.FloatVector, values=[struct.pack(f"<{DIMENSION}f", *query)])
    params = {"anns_field": "vector", "topk": str(NEIGHBOURS), "metric_type": "COSINE", "params": f'{{"ef": {EF}}}', "round_decimal": "-1"}
    return milvus_pb2.SearchRequest(
        collection_name=NAME, nq=1, dsl_type=common_pb2.DslType.BoolExprV1, consistency_level=level,
        placeholder_group=common_pb2.PlaceholderGroup(placeholders=[tag]).SerializeToString(),
        search_params=[common_pb2.KeyValuePair(key=key, value=value) for key, value in params.items()])


def query_of(key: int):
    return milvus_pb2.QueryRequest(collection_name=NAME, expr=f"id == {key}", output_fields=["id"], consistency_level=STRONGLY)


def insert(key: int, row):
    return milvus_pb2.InsertRequest(collection_name=NAME, num_rows=1, fields_data=[
        schema_pb2.FieldData(type=schema_pb2.DataType.Int64, field_name="id", scalars=schema_pb2.ScalarField(
            long_data=schema_pb2.LongArray(data=[key]))),
        schema_pb2.FieldData(type=schema_pb2.DataType.FloatVector, field_name="vector", vectors=schema_pb2.VectorField(
            dim=DIMENSION, float_vector=schema_pb2.FloatArray(data=row.tolist())))])


FIGURES = ["search", "strong search", "write of a row", "strong read of it", "write, then strong read"]
# What of a phase each process's metrics say, from the client's side inwards.
HOPS = [
    ("search", "proxy: a search", "milvus_proxy_sq_latency search"),
    ("search", "proxy: waiting for shards", "milvus_proxy_sq_wait_result_latency search"),
    ("search", "query node: a shard's search", "milvus_querynode_sq_req_latency search"),
    ("search", "query node: computing", "milvus_querynode_sq_core_latency search"),
    ("search", "proxy: merging", "milvus_proxy_sq_reduce_result_latency search"),
    ("write and strong read", "proxy: a write", "milvus_proxy_mutation_latency insert"),
    ("write and strong read", "proxy: until the log holds it", "milvus_proxy_mutation_send_latency insert"),
    ("write and strong read", "data node: an append, durable", "milvus_msgstream_request_latency produce"),
    ("write and strong read", "proxy: a strong query", "milvus_proxy_sq_latency query"),
    ("write and strong read", "query node: a shard's query", "milvus_querynode_sq_req_latency query"),
    ("write and strong read", "query node: until the end of the log is applied", "milvus_querynode_sq_wait_tsafe_latency query"),
    ("write and strong read", "query node: computing", "milvus_querynode_sq_core_latency query"),
]


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def tables(subjects: list[Subject], truth) -> str:
    first, last = subjects[0], subjects[-1]
    head = " | ".join(subject.name for subject in subjects)
    lines = [f"| ms, p50, p99 | {head} | cluster ÷ standalone, p50 |", "|---|" + "---|" * (len(subjects) + 1)]
    for figure in FIGURES:
        cells = " | ".join(f"{statistics.median(s.times[figure]):.2f}, {quantile(s.times[figure], 0.99):.2f}" for s in subjects)
        ratio = statistics.median(last.times[figure]) / statistics.median(first.times[figure])
        lines.append(f"| {figure} | {cells} | {ratio:.2f} |")
    recalls = [sum(len(set(found) & set(best)) for found, best in zip(s.found, truth)) / (len(s.found) * NEIGHBOURS) for s in subjects]
    lines.append(f"| recall@10, ef {EF} | {' | '.join(f'{value:.3f}' for value in recalls)} | |")
    lines += ["", f"| mean of a call, ms | {head} |", "|---|" + "---|" * len(subjects)]
    for phase, what, series in HOPS:
        cells = []
        for subject in subjects:
            total, count = subject.hops[phase].get(series, (0.0, 0.0))
            cells.append(f"{total / count:.2f}" if count else "")
        lines.append(f"| {phase}: {what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    missing = [name for name in SERVERS if not os.environ.get(name)]
    if missing:
        sys.exit(f"no servers for a cluster: {', '.join(missing)}; `./dev bench cluster` starts them")
    quick = "--quick" in sys.argv
    cache = pathlib.Path(os.environ.get("ELANUS_CACHE", pathlib.Path.home() / ".cache/elanus")) / "data"
    rows, queries, _ = glove100(cache)
    rows = rows[:ROWS // 10 if quick else ROWS]
    queries = queries[:SEARCHES]
    truth = nearest(rows, queries)
    subjects: list[Subject] = []
    try:
        for name, target, replicas in [("standalone", Elanus, 1), ("standalone on etcd, Kafka, S3", OnServers, 1), ("cluster", OnCluster, REPLICAS)]:
            print(f"preparing: {name}", flush=True)
            subjects.append(Subject(name, target(), replicas))
            subjects[-1].prepare(rows)
        for number in range(1 if quick else ROUNDS):
            print(f"round {number + 1}", flush=True)
            fresh = numpy.random.default_rng(number).random((STRONG, DIMENSION), dtype=numpy.float32)
            for subject in subjects:
                subject.round(queries, fresh)
    finally:
        for subject in subjects:
            subject.target.close()
    found = tables(subjects, [best for _ in range(ROUNDS) for best in truth.tolist()])
    print(found)
    if not quick:
        build = pathlib.Path(os.environ["ELANUS_BIN"]).parent.name
        (pathlib.Path(__file__).parent / "results/cluster.md").write_text(
            f"# A cluster beside a standalone server\n\n"
            f"Written by `./dev bench cluster` on {time.strftime('%Y-%m-%d')}: {machine()}; everything on the same cores, a `{build}` build, one client "
            f"over plain gRPC. glove100's first {len(rows):,} rows, {SHARDS} shards, HNSW, {REPLICAS} replicas on the cluster.\n\n"
            f"Aims: search p50 ≤ 1.5 × standalone; write, then strong read ≤ 8 ms on Kafka. What the steps are: docs/paths.md.\n\n{found}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
