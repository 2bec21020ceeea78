"""Filters against an oracle that shares nothing with the server: random schemas, odd rows, random filters, in every state of the rows.

    ELANUS_BIN=… python filters.py [SEED]…

For each seed a collection of a random schema gets rows, and every filter, with its denial and De Morgan's forms, is asked while rows are
growing, sealed, indexed, sealed beside growing with some deleted, and after a kill. The ids of each answer are those that `tests/oracle` computes from the text. Most
questions go through the SDK's own stub, one in FIFTIETH through its client. 10^5 answers by default, 10^6 where ELANUS_LONG is set; seeds
given as arguments are run alone.
"""
# sdk: pymilvus-3.0.2
# fixture: standalone

import logging
import os
import pathlib
import sys
import time
from collections import deque

import grpc
import numpy
import pymilvus
from pymilvus.client.prepare import Prepare
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc

from _server import fixture

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "oracle"))

from truth import World, conjunction, disjunction  # noqa: E402
from worlds import Filter, Maker, shown  # noqa: E402

NAME = "filters"
# Rows of each world: those of the first two states, and those that come later.
ROWS, LATER = 1_000, 200
LEAVES, TREES, LAWS = 500, 900, 100
ANSWERS = 1_000_000 if os.environ.get("ELANUS_LONG") else 100_000
FIFTIETH = 50
# Requests under way at once.
WINDOW = 24
REQUEST_SECONDS_MAX = 60
INDEX_SECONDS_MAX = 60
# Wrong answers of one world that are shown before it is given up.
SHOWN_MAX = 5
KINDS = {
    "Bool": pymilvus.DataType.BOOL, "Int8": pymilvus.DataType.INT8, "Int16": pymilvus.DataType.INT16, "Int32": pymilvus.DataType.INT32,
    "Int64": pymilvus.DataType.INT64, "Float": pymilvus.DataType.FLOAT, "Double": pymilvus.DataType.DOUBLE,
    "VarChar": pymilvus.DataType.VARCHAR, "JSON": pymilvus.DataType.JSON, "Array": pymilvus.DataType.ARRAY,
}


class Wrong(Exception):
    """The server and the oracle disagree."""


class Asked:
    """A question: its text, and the rows that answer it."""

    def __init__(self, filter: Filter, true: int):
        self.filter, self.true = filter, true


def questions(maker: Maker, world: World) -> list[Asked]:
    """Everything that is asked of one world."""
    leaves = [maker.leaf() for _ in range(LEAVES)]
    asked = []
    for filter in leaves + [maker.tree(leaves, 3) for _ in range(TREES)]:
        true, false = world.truth(filter.text, filter.templates)
        asked += [Asked(filter, true), Asked(Filter(f"not ({filter.text})", filter.templates), false)]
    for _ in range(LAWS):
        p, q = maker.tree(leaves, 1), maker.tree(leaves, 1)
        sides = [world.truth(side.text, side.templates) for side in (p, q)]
        both, either = conjunction(sides, world.all), disjunction(sides, world.all)
        templates = p.templates | q.templates
        for text, true in [
            (f"not (({p.text}) and ({q.text}))", both[1]), (f"(not ({p.text})) or (not ({q.text}))", both[1]),
            (f"not (({p.text}) or ({q.text}))", either[1]), (f"(not ({p.text})) and (not ({q.text}))", either[1]),
        ]:
            asked.append(Asked(Filter(text, templates), true))
    return asked


class Run:
    """One world on the server."""

    def __init__(self, server, seed: int):
        self.server, self.seed = server, seed
        self.maker = Maker(seed, ROWS + LATER)
        self.world = World(self.maker.fields, self.maker.rows)
        self.asked = questions(self.maker, self.world)
        self.answers = 0
        self.connect()

    def connect(self) -> None:
        self.client = pymilvus.MilvusClient(self.server.uri)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.server.port}")
        self.stub = milvus_pb2_grpc.MilvusServiceStub(self.channel)

    def close(self) -> None:
        self.channel.close()
        self.client.close()

    def create(self) -> None:
        if self.client.has_collection(NAME):
            self.client.drop_collection(NAME)
        dynamic = any(field.name == "$meta" for field in self.maker.fields)
        schema = self.client.create_schema(enable_dynamic_field=dynamic)
        schema.add_field("id", pymilvus.DataType.INT64, is_primary=True)
        schema.add_field("vector", pymilvus.DataType.FLOAT_VECTOR, dim=2)
        for field in self.maker.plain[1:]:
            more = {"max_length": 64} if "VarChar" in (field.kind, field.element) else {}
            if field.kind == "Array":
                more |= {"element_type": KINDS[field.element], "max_capacity": 16}
            schema.add_field(field.name, KINDS[field.kind], nullable=field.nullable, **more)
        index = self.client.prepare_index_params()
        index.add_index("vector", index_type="FLAT", metric_type="L2")
        self.client.create_collection(NAME, schema=schema, index_params=index, consistency_level="Strong")

    def insert(self, first: int, end: int) -> None:
        rows = []
        for row in self.maker.rows[first:end]:
            values = {name: value for name, value in row.items() if name != "$meta"}
            rows.append(values | row.get("$meta", {}) | {"vector": [0.0, float(row["id"])]})
        for at in range(0, len(rows), 250):
            self.client.insert(NAME, rows[at:at + 250])

    def run(self) -> None:
        self.create()
        self.insert(0, ROWS)
        there = (1 << ROWS) - 1
        self.check("growing", there)
        self.client.flush(NAME)
        self.check("sealed", there)
        self.index()
        self.check("indexed", there)
        self.insert(ROWS, ROWS + LATER)
        gone = list(range(self.seed % 7, ROWS + LATER, 7))
        self.client.delete(NAME, ids=gone)
        there = self.world.all & ~sum(1 << row for row in gone)
        self.check("sealed and growing, some deleted", there)
        self.close()
        self.server.kill()
        self.server.start()
        self.connect()
        self.check("restarted", there)

    def index(self) -> None:
        """Gives some fields scalar indexes, and waits until they are built."""
        params = self.client.prepare_index_params()
        for name, index_type in self.maker.indexes().items():
            params.add_index(name, index_type=index_type)
        self.client.create_index(NAME, params)
        deadline = time.monotonic() + INDEX_SECONDS_MAX
        for name in self.client.list_indexes(NAME):
            while (state := self.client.describe_index(NAME, name))["state"] != "Finished":
                if time.monotonic() > deadline:
                    raise Wrong(f"seed {self.seed}: index {name} isn't built: {state}")
                time.sleep(0.01)

    def request(self, filter: Filter) -> milvus_pb2.QueryRequest:
        return milvus_pb2.QueryRequest(
            collection_name=NAME, expr=filter.text, output_fields=["id"], use_default_consistency=False,
            consistency_level=common_pb2.ConsistencyLevel.Eventually, guarantee_timestamp=1,
            query_params=[common_pb2.KeyValuePair(key="limit", value="16384")],
            expr_template_values=Prepare.prepare_expression_template(filter.templates))

    def check(self, state: str, there: int) -> None:
        """Asks everything of the rows that are there."""
        count = self.client.query(NAME, output_fields=["count(*)"])[0]["count(*)"]
        if count != there.bit_count():
            raise Wrong(f"seed {self.seed}, {state}: {count} rows instead of {there.bit_count()}")
        wrong: list[str] = []
        under_way: deque = deque()
        for at, asked in enumerate(self.asked):
            if at % FIFTIETH == 0:
                found = self.client.query(NAME, filter=asked.filter.text, filter_params=asked.filter.templates, output_fields=["id"], limit=16384)
                self.compare(state, asked, there, [row["id"] for row in found], wrong)
            under_way.append((asked, self.stub.Query.future(self.request(asked.filter), timeout=REQUEST_SECONDS_MAX)))
            if len(under_way) >= WINDOW:
                self.finish(state, there, under_way.popleft(), wrong)
            if len(wrong) >= SHOWN_MAX:
                break
        for each in under_way:
            self.finish(state, there, each, wrong)
        if wrong:
            raise Wrong("\n\n".join(wrong[:SHOWN_MAX]))

    def finish(self, state: str, there: int, under_way: tuple, wrong: list[str]) -> None:
        asked, future = under_way
        answer = future.result()
        if answer.status.code:
            wrong.append(f"seed {self.seed}, {state}: {asked.filter.text} {asked.filter.templates}\n  is refused: {answer.status.reason}")
            return
        ids = next((field.scalars.long_data.data for field in answer.fields_data if field.field_name == "id"), [])
        self.compare(state, asked, there, ids, wrong)

    def compare(self, state: str, asked: Asked, there: int, ids: list[int], wrong: list[str]) -> None:
        self.answers += 1
        kept = numpy.zeros(ROWS + LATER, dtype=bool)
        kept[numpy.fromiter(ids, dtype=numpy.int64, count=len(ids))] = True
        found = int.from_bytes(numpy.packbits(kept, bitorder="little").tobytes(), "little")
        wanted = asked.true & there
        if found == wanted and len(ids) == wanted.bit_count():
            return
        missing, extra = wanted & ~found, found & ~wanted
        lines = [f"seed {self.seed}, {state}: {asked.filter.text} {asked.filter.templates}"]
        for what, rows in (("isn't found", missing), ("is found", extra)):
            if rows:
                first = (rows & -rows).bit_length() - 1
                lines.append(f"  {rows.bit_count()} rows wrong; first: {shown(self.maker.rows[first])} {what}")
        wrong.append("\n".join(lines))


def main() -> None:
    logging.disable(logging.CRITICAL)
    seeds = [int(argument) for argument in sys.argv[1:]]
    # Segments of so few rows have no indexes else.
    server = fixture({"ROOTCOORD_MINSEGMENTSIZETOENABLEINDEX": "1"})
    began, answers, seed = time.monotonic(), 0, 0
    try:
        while seeds or (answers < ANSWERS and not sys.argv[1:]):
            seed = seeds.pop(0) if seeds else seed + 1
            run = Run(server, seed)
            try:
                run.run()
            except Wrong as wrong:
                print(f"{wrong}\n\nagain: ELANUS_BIN=… python {sys.argv[0]} {seed}")
                sys.exit(1)
            run.close()
            answers += run.answers
            print(f"seed {seed}: {run.answers} answers; {answers} in {time.monotonic() - began:.0f} s", flush=True)
    finally:
        server.close()


main()
