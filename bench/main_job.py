"""The main job on glove100, measured through pymilvus: what an operator feels. Writes bench/results/main_job.md.

Beside Elanus, Milvus 2.3.5 in the same run where MILVUS_PYTHON names an interpreter with its wheel (`./dev bench` sees to it).
Recall is against brute force. Times include a Python client on the same cores: compare columns, not figures of other machines.
`--quick` takes 20,000 rows and writes nothing, to try the script itself.
"""

import os
import pathlib
import statistics
import sys
import time
import warnings

import numpy
import pymilvus

from _data import NEIGHBOURS, glove100
from _machine import machine
from _target import Elanus, Milvus, Target

# The older interface is the one that every pymilvus and both servers have.
warnings.filterwarnings("ignore", message=".*ORM-style.*")

BATCH = 5_000
NAME = "glove100"
RESTARTS = 3
AIMS = {
    "ready, empty, s": "0.5", "resident, empty, MB": "60", "idle CPU, % of a core": "0.3", "kill -9 → first correct search, s": "1",
    "insert one row → strong read, median ms": "5", "data directory ÷ raw": "2", "PSS after a query pass ÷ raw": "1.6",
}


def connect(target: Target) -> None:
    pymilvus.connections.disconnect("default")
    pymilvus.connections.connect("default", host="127.0.0.1", port=str(target.port), timeout=60)


def create() -> pymilvus.Collection:
    fields = [
        pymilvus.FieldSchema("id", pymilvus.DataType.INT64, is_primary=True),
        pymilvus.FieldSchema("vector", pymilvus.DataType.FLOAT_VECTOR, dim=100),
    ]
    return pymilvus.Collection(NAME, pymilvus.CollectionSchema(fields), consistency_level="Strong")


def insert(collection, rows) -> None:
    for i in range(0, len(rows), BATCH):
        part = rows[i:i + BATCH]
        collection.insert([list(range(i, i + len(part))), part.tolist()])


def search(collection, queries, params, level="Eventually") -> numpy.ndarray:
    found = collection.search(queries.tolist(), "vector", {"metric_type": "COSINE", "params": params}, limit=NEIGHBOURS, consistency_level=level)
    return numpy.array([list(hits.ids) + [-1] * (NEIGHBOURS - len(hits)) for hits in found])


def recall(found, truth) -> float:
    return sum(len(set(f) & set(t)) for f, t in zip(found.tolist(), truth.tolist())) / truth.size


def build(collection, kind, params) -> float:
    collection.release()
    if collection.indexes:
        collection.drop_index()
    began = time.monotonic()
    collection.create_index("vector", {"index_type": kind, "metric_type": "COSINE", "params": params})
    while pymilvus.utility.index_building_progress(NAME).get("pending_index_rows", 0) > 0:
        time.sleep(0.05)
    seconds = time.monotonic() - began
    collection.load()
    return seconds


def strong_read_ms(collection, rows, first_id) -> float:
    times = []
    for i in range(30):
        vector = (rows[i] + 1.0).tolist()
        began = time.monotonic()
        collection.insert([[first_id + i], [vector]])
        found = collection.query(expr=f"id == {first_id + i}", output_fields=["id"], consistency_level="Strong")
        times.append((time.monotonic() - began) * 1e3)
        assert [row["id"] for row in found] == [first_id + i], found
    collection.delete(f"id in {[first_id + i for i in range(30)]}")
    return statistics.median(times)


def first_search(target, queries, truth, params) -> float:
    # A channel that sees its server die waits longer and longer before it tries again, and later ones to the same port with it.
    pymilvus.connections.disconnect("default")
    target.kill()
    began = time.monotonic()
    target.start()
    while True:
        try:
            connect(target)
            found = search(pymilvus.Collection(NAME), queries[:1], params)
            if recall(found, truth[:1]) > 0.5:
                return time.monotonic() - began
        except pymilvus.MilvusException:
            pass
        if time.monotonic() - began > 180:
            raise RuntimeError("no correct search within 180 s of the restart")
        time.sleep(0.01)


def measure(target: Target, rows, queries, truth) -> dict[str, str]:
    raw = rows.nbytes
    figures = {"ready, empty, s": f"{target.start():.2f}"}
    time.sleep(2)
    figures["resident, empty, MB"] = f"{target.memory_bytes() / 1e6:.0f}"
    before = target.cpu_seconds()
    time.sleep(20)
    figures["idle CPU, % of a core"] = f"{(target.cpu_seconds() - before) / 20 * 100:.2f}"
    connect(target)
    collection = create()
    began = time.monotonic()
    insert(collection, rows)
    collection.flush()
    figures["insert + flush, s"] = f"{time.monotonic() - began:.1f}"
    flushed = time.monotonic()
    assert collection.num_entities == len(rows)
    figures["IVF_FLAT build, s (nlist 1024)"] = f"{build(collection, 'IVF_FLAT', {'nlist': 1024}):.1f}"
    figures["IVF_FLAT recall@10, nprobe 32"] = f"{recall(search(collection, queries, {'nprobe': 32}), truth):.3f}"
    figures["HNSW build, s (M 16, efConstruction 200)"] = f"{build(collection, 'HNSW', {'M': 16, 'efConstruction': 200}):.1f}"
    for ef in (64, 128, 256):
        began = time.monotonic()
        found = numpy.concatenate([search(collection, query[None], {"ef": ef}) for query in queries])
        rate = len(queries) / (time.monotonic() - began)
        figures[f"HNSW ef {ef}: recall@10 : QPS, one client"] = f"{recall(found, truth):.3f} : {rate:.0f}"
    figures["PSS after a query pass ÷ raw"] = f"{target.memory_bytes() / raw:.2f}"
    time.sleep(max(0, flushed + 60 - time.monotonic()))
    figures["data directory ÷ raw"] = f"{target.disk_bytes() / raw:.2f}"
    figures["insert one row → strong read, median ms"] = f"{strong_read_ms(collection, rows, 10_000_000):.1f}"
    starts = [first_search(target, queries, truth, {"ef": 128}) for _ in range(RESTARTS)]
    figures["kill -9 → first correct search, s"] = f"{max(starts):.2f}"
    collection, times = pymilvus.Collection(NAME), []
    for query in queries[:100]:
        began = time.monotonic()
        search(collection, query[None], {"ef": 128})
        times.append((time.monotonic() - began) * 1e3)
    figures["the 100 searches after it: median, longest, ms"] = f"{statistics.median(times):.1f}, {max(times):.1f}"
    assert collection.num_entities >= len(rows)
    return figures


def main() -> None:
    cache = pathlib.Path(os.environ.get("ELANUS_CACHE", pathlib.Path.home() / ".cache/elanus")) / "data"
    rows, queries, truth = glove100(cache)
    if "--quick" in sys.argv:
        rows = rows[:20_000]
        from _data import nearest
        truth = nearest(rows, queries)
    targets = [Elanus] + ([Milvus] if "MILVUS_PYTHON" in os.environ else [])
    columns = {}
    for kind in targets:
        print(f"measuring {kind.name}", flush=True)
        target = kind()
        try:
            columns[target.name] = measure(target, rows, queries, truth)
        finally:
            target.close()
        report(columns, rows, "--quick" not in sys.argv)


def report(columns: dict[str, dict[str, str]], rows, keep: bool) -> None:
    lines = ["| | aim | " + " | ".join(columns) + " |", "|---|---|" + "---|" * len(columns)]
    for figure in columns["elanus"]:
        lines.append(f"| {figure} | {AIMS.get(figure, '')} | " + " | ".join(column.get(figure, "") for column in columns.values()) + " |")
    table = "\n".join(lines)
    print(table, flush=True)
    if keep:
        results = pathlib.Path(__file__).parent / "results"
        results.mkdir(exist_ok=True)
        (results / "main_job.md").write_text(
            f"# The main job on glove100 ({len(rows):,} × 100, {rows.nbytes / 1e6:.0f} MB raw)\n\n"
            f"Written by `./dev bench main_job` on {time.strftime('%Y-%m-%d')}: {machine()}, client beside the server, "
            f"pymilvus {pymilvus.__version__}.\n\n{table}\n")


if __name__ == "__main__":
    main()
