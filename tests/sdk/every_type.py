"""Every data type through a real SDK: what is written is read back, value for value.

    ELANUS_BIN=… python every_type.py

A collection with a field of each type, each also nullable or with a default where Milvus has that. The same rows are read while they
grow, after a flush, after a kill, and beside rows that were written after it, with two fields that were added in between; by query and by search.
"""
# sdk: pymilvus-3.0.2
# fixture: standalone cluster

import struct
import warnings

import numpy
import pymilvus
from pymilvus import DataType

from _server import fixture

warnings.filterwarnings("ignore", category=DeprecationWarning)
warnings.filterwarnings("ignore", message=".*ORM-style.*")

NAME = "every_type"
ROWS, DIMENSION = 40, 16
RANDOM = numpy.random.default_rng(19530)


def limits(low: int, high: int):
    return lambda row: [low, high, row % 100][row % 3]


def text(row: int) -> str:
    return ["", f"text {row}", "ünïcödé \u6587" * (row % 4), "\0\n\"'\\"][row % 4]


def document(row: int):
    return [{"a": row, "b": [1, 2.5, None, True], "c": {"d": "e"}}, [], ["text"], row, {}][row % 5]


def floats(row: int) -> list[float]:
    return numpy.float32([row, 1] + RANDOM.random(DIMENSION - 2).tolist()).tolist()


def half(row: int) -> bytes:
    return numpy.float16([row / 8] * DIMENSION).tobytes()


def bfloat(row: int) -> bytes:
    return b"".join(struct.pack("<f", value)[2:] for value in [row / 8] * DIMENSION)


def signed(row: int) -> bytes:
    return numpy.int8([row, -row, -128, 127] * (DIMENSION // 4)).tobytes()


def bits(row: int) -> bytes:
    return bytes([row, 255 - row])


def sparse(row: int) -> dict[int, float]:
    return {place * 1_000 + row: 0.25 * (place + 1) for place in range(row % 4)} | ({2**32 - 2: 1.5} if row % 7 == 1 else {})


# (name, type, parameters of the field, the value of a row)
SCALARS = [
    ("bool", "BOOL", {}, lambda row: row % 2 == 1),
    ("int8", "INT8", {}, limits(-(2**7), 2**7 - 1)),
    ("int16", "INT16", {}, limits(-(2**15), 2**15 - 1)),
    ("int32", "INT32", {}, limits(-(2**31), 2**31 - 1)),
    ("int64", "INT64", {}, limits(-(2**63), 2**63 - 1)),
    ("float", "FLOAT", {}, lambda row: float(numpy.float32(row / 3))),
    ("double", "DOUBLE", {}, lambda row: row / 3),
    ("varchar", "VARCHAR", {"max_length": 200}, text),
    ("json", "JSON", {}, document),
]
ARRAYS = [
    (f"array_{name}", "ARRAY", {"element_type": element, "max_capacity": 5} | parameters,
     lambda row, value=value: [value(row + i) for i in range(row % 6)])
    for name, element, parameters, value in SCALARS[:-1]
]
VECTORS = [
    ("float_vector", "FLOAT_VECTOR", {"dim": DIMENSION}, floats),
    ("binary_vector", "BINARY_VECTOR", {"dim": DIMENSION}, bits),
    ("float16_vector", "FLOAT16_VECTOR", {"dim": DIMENSION}, half),
    ("bfloat16_vector", "BFLOAT16_VECTOR", {"dim": DIMENSION}, bfloat),
    ("int8_vector", "INT8_VECTOR", {"dim": DIMENSION}, signed),
    ("sparse_vector", "SPARSE_FLOAT_VECTOR", {}, sparse),
]
# The SDK sends a default as the type that its value has.
DEFAULTS = {"bool": True, "int8": numpy.int8(-7), "int16": numpy.int16(-7), "int32": numpy.int32(-7), "int64": -7, "float": numpy.float32(0.5),
            "double": 0.5, "varchar": "default"}


def fields():
    """Of one collection: the fields beside the key, with the values of all rows, and what is sent of them."""
    for name, data_type, parameters, value in SCALARS + ARRAYS + VECTORS:
        yield name, data_type, parameters, [value(row) for row in range(ROWS)], None
    for name, data_type, parameters, value in SCALARS + ARRAYS:
        values = [None if row % 3 == 0 else value(row) for row in range(ROWS)]
        yield f"{name}_or_null", data_type, parameters | {"nullable": True}, values, None
    for name, data_type, parameters, value in SCALARS[:-1]:
        sent = [None if row % 3 == 0 else value(row) for row in range(ROWS)]
        values = [DEFAULTS[name] if value is None else value for value in sent]
        yield f"{name}_or_default", data_type, parameters | {"default_value": DEFAULTS[name]}, values, sent


def nullable_vectors():
    """Of the other collection: a collection has at most ten vector fields."""
    for name, data_type, parameters, value in VECTORS:
        values = [None if row % 3 == 0 else value(row) for row in range(ROWS)]
        yield f"{name}_or_null", data_type, parameters | {"nullable": True}, values, None
    yield "always_null", "INT8_VECTOR", {"dim": DIMENSION, "nullable": True}, [None] * ROWS, None
    yield "float_vector", "FLOAT_VECTOR", {"dim": DIMENSION}, [floats(row) for row in range(ROWS)], None


def plain(data_type: str, value):
    """What the SDK gives back, as it was sent."""
    if value is None:
        return None
    if data_type in ("BINARY_VECTOR", "FLOAT16_VECTOR", "BFLOAT16_VECTOR", "INT8_VECTOR"):
        parts = value if isinstance(value, list) else [value]
        return b"".join(part if isinstance(part, bytes) else numpy.asarray(part).tobytes() for part in parts)
    if data_type == "FLOAT_VECTOR":
        return numpy.float32(value).tolist()
    if data_type == "SPARSE_FLOAT_VECTOR":
        return {int(index): float(number) for index, number in dict(value).items()}
    if data_type == "ARRAY":
        return list(value)
    return value


def same(data_type: str, parameters: dict, found, wanted) -> bool:
    single = "FLOAT" in (data_type, parameters.get("element_type"))
    return numpy.float32(found).tolist() == numpy.float32(wanted).tolist() if single and wanted is not None else found == wanted


class Table:
    """One collection and what it must hold."""

    def __init__(self, name: str, columns):
        self.name, self.columns, self.keys = name, list(columns), list(range(ROWS))

    def check(self, rows, what: str) -> None:
        by_key = {row["id"]: row for row in rows}
        assert sorted(by_key) == self.keys, f"{what}: keys {sorted(by_key)}"
        for name, data_type, parameters, values, _ in self.columns:
            for key, row in by_key.items():
                found = plain(data_type, row.get(name))
                assert same(data_type, parameters, found, values[key]), f"{what}: {name} of {key} is {found!r}, not {values[key]!r}"

    def names(self) -> list[str]:
        return ["id"] + [name for name, *_ in self.columns]

    def connect(self, server) -> None:
        self.client = pymilvus.MilvusClient(server.uri)

    def create(self) -> None:
        schema = pymilvus.MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        for name, data_type, parameters, *_ in self.columns:
            given = {key: DataType[value] if key == "element_type" else value for key, value in parameters.items()}
            schema.add_field(name, DataType[data_type], is_clustering_key=name == "int64", **given)
        self.client.create_collection(self.name, schema=schema, consistency_level="Strong")
        described = {field["name"]: field for field in self.client.describe_collection(self.name)["fields"]}
        for name, data_type, parameters, *_ in self.columns:
            field = described[name]
            assert field["type"] == DataType[data_type], field
            assert field.get("element_type", DataType.NONE) == DataType[parameters.get("element_type", "NONE")], field
            assert bool(field.get("nullable")) == ("nullable" in parameters), field
        params = self.client.prepare_index_params()
        params.add_index("float_vector", index_type="FLAT", metric_type="L2")
        self.client.create_index(self.name, params)
        # Only vectors that are to be loaded need an index.
        needed = [name for name in ("id", "int64", "float_vector") if name in self.names()]
        self.client.load_collection(self.name, load_fields=needed)

    def insert(self, keys) -> None:
        rows = []
        for key in keys:
            row = {"id": key}
            for name, _, parameters, values, sent in self.columns:
                value = (sent or values)[key]
                # What has no value may be left out as well.
                if value is not None or key % 2 == 0:
                    row[name] = value
            rows.append(row)
        # The SDK wants the same keys in every row of a call.
        for parity in (0, 1):
            for third in (0, 1, 2):
                some = [row for row in rows if row["id"] % 2 == parity and row["id"] % 3 == third]
                if some:
                    assert self.client.insert(self.name, some)["insert_count"] == len(some)

    def add_fields(self) -> None:
        """Two fields more: rows that are there have null or the default, later ones what they are given."""
        for name, default in (("added_or_null", None), ("added_or_default", 5)):
            parameters = {"nullable": True} | ({} if default is None else {"default_value": default})
            self.client.add_collection_field(self.name, field_name=name, data_type=DataType.INT64, **parameters)
            values = [default] * len(self.keys) + [row if row % 2 else default for row in range(len(self.keys), ROWS)]
            self.columns.append((name, "INT64", parameters, values, None))

    def flush(self) -> None:
        self.client.flush(self.name)

    def read(self, what: str) -> None:
        self.check(self.client.query(self.name, filter="id >= 0", output_fields=self.names()), what)
        found = self.client.search(
            self.name, [floats(1)], anns_field="float_vector", limit=ROWS, output_fields=self.names(), search_params={"metric_type": "L2"})
        self.check([hit["entity"] | {"id": hit["id"]} for hit in found[0]], f"{what}, searched")


def main() -> None:
    server = fixture()
    tables = [Table(NAME, fields()), Table(f"{NAME}_or_null", nullable_vectors())]

    def everywhere(step, *arguments):
        for table in tables:
            getattr(table, step)(*arguments)

    def again():
        server.kill()
        server.start()
        everywhere("connect", server)

    everywhere("connect", server)
    everywhere("create")
    everywhere("insert", range(ROWS - 10))
    for table in tables:
        table.keys = list(range(ROWS - 10))
    everywhere("read", "growing")
    again()
    everywhere("read", "growing, after a kill")
    everywhere("flush")
    everywhere("read", "flushed")
    everywhere("add_fields")
    everywhere("read", "with fields more")
    everywhere("insert", range(ROWS - 10, ROWS))
    for table in tables:
        table.keys = list(range(ROWS))
    everywhere("read", "flushed and growing")
    again()
    everywhere("read", "flushed and growing, after a kill")
    server.close()
    print(f"every type: {sum(len(table.columns) for table in tables)} fields, {ROWS} rows")


main()
