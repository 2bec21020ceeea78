"""A client that sends each request once: SDKs repeat what failed, and a repeated insert is two.

Of the wire's messages it uses what tests need: collections of an int64 key `id`, an int64 `version` and a vector of four floats.
"""

import struct

import grpc
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc, schema_pb2

DIMENSION = 4
STRONG = common_pb2.ConsistencyLevel.Strong
# A process that is started again is found at once, not after the second that gRPC would wait.
OPTIONS = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100),
           ("grpc.enable_retries", 0), ("grpc.max_receive_message_length", -1)]


class Failed(Exception):
    """A call that wasn't answered with success. `code` is Milvus's, None where there was no answer."""

    def __init__(self, code: int | None, reason: str):
        super().__init__(f"{'no answer' if code is None else code}: {reason}")
        self.code = code


def vector(key: int, version: int) -> list[float]:
    return [float(key), float(version), 1.0, 0.0]


class Wire:
    """One connection to one proxy. `timeout` is that of each call, in seconds."""

    def __init__(self, address: str, timeout: float = 10):
        self.channel = grpc.insecure_channel(address, OPTIONS)
        self.stub = milvus_pb2_grpc.MilvusServiceStub(self.channel)
        self.timeout = timeout

    def close(self) -> None:
        self.channel.close()

    def call(self, name: str, request, timeout: float | None = None):
        """The answer of a call that succeeded."""
        try:
            answer = getattr(self.stub, name)(request, timeout=timeout or self.timeout)
        except grpc.RpcError as error:
            raise Failed(None, f"{error.code().name}: {error.details()}") from None
        status = answer if isinstance(answer, common_pb2.Status) else answer.status
        if status.code != 0 or status.error_code != 0:
            raise Failed(status.code or status.error_code, status.reason)
        return answer

    # --- definitions ---

    def create(self, name: str, shards: int = 2, index: str = "FLAT", replicas: int = 1, rows: dict[int, int] | None = None) -> None:
        """A collection with an index, loaded, holding `rows` (key: version)."""
        field = schema_pb2.FieldSchema
        types = schema_pb2.DataType
        schema = schema_pb2.CollectionSchema(name=name, fields=[
            field(name="id", data_type=types.Int64, is_primary_key=True),
            field(name="version", data_type=types.Int64),
            field(name="vector", data_type=types.FloatVector, type_params=pairs(dim=str(DIMENSION)))])
        self.call("CreateCollection", milvus_pb2.CreateCollectionRequest(
            collection_name=name, schema=schema.SerializeToString(), shards_num=shards, consistency_level=STRONG))
        self.call("CreateIndex", milvus_pb2.CreateIndexRequest(
            collection_name=name, field_name="vector", index_name="vector",
            extra_params=pairs(index_type=index, metric_type="L2", params='{"M": 8, "efConstruction": 40}' if index == "HNSW" else "{}")))
        self.load(name, replicas)
        if rows:
            self.write("Insert", name, rows)

    def load(self, name: str, replicas: int = 1) -> None:
        self.call("LoadCollection", milvus_pb2.LoadCollectionRequest(collection_name=name, replica_number=replicas), 30)
        while self.call("GetLoadState", milvus_pb2.GetLoadStateRequest(collection_name=name)).state != common_pb2.LoadStateLoaded:
            pass

    def drop(self, name: str) -> None:
        self.call("DropCollection", milvus_pb2.DropCollectionRequest(collection_name=name))

    # --- rows ---

    def write(self, kind: str, name: str, rows: dict[int, int], timeout: float | None = None) -> int:
        """`Insert` or `Upsert` of key: version; the timestamp."""
        request = getattr(milvus_pb2, f"{kind}Request")(collection_name=name, num_rows=len(rows), fields_data=[
            longs("id", list(rows)), longs("version", list(rows.values())), vectors([vector(*row) for row in rows.items()])])
        return self.call(kind, request, timeout).timestamp

    def delete(self, name: str, keys: list[int], timeout: float | None = None) -> None:
        self.call("Delete", milvus_pb2.DeleteRequest(collection_name=name, expr=f"id in {keys}"), timeout)

    def rows(self, name: str, filter: str = "id >= 0", timeout: float | None = None) -> list[dict]:
        """All rows as of now, their keys and versions."""
        answer = self.call("Query", milvus_pb2.QueryRequest(
            collection_name=name, expr=filter, output_fields=["id", "version"], consistency_level=STRONG), timeout)
        columns = {field.field_name: field.scalars.long_data.data for field in answer.fields_data}
        return [{"id": key, "version": version} for key, version in zip(columns.get("id", []), columns.get("version", []))]

    def count(self, name: str, timeout: float | None = None) -> int:
        answer = self.call("Query", milvus_pb2.QueryRequest(
            collection_name=name, expr="", output_fields=["count(*)"], consistency_level=STRONG), timeout)
        return answer.fields_data[0].scalars.long_data.data[0]

    def search(self, name: str, query: list[float], limit: int, level: int = STRONG, timeout: float | None = None) -> list[int]:
        """The keys of the nearest rows."""
        return list(self.call("Search", search_request(name, query, limit, level), timeout).results.ids.int_id.data)

    def flush(self, name: str, timeout: float | None = None) -> None:
        self.call("Flush", milvus_pb2.FlushRequest(collection_names=[name]), timeout)


def search_request(name: str, query: list[float], limit: int, level: int = STRONG, params: str = "{}"):
    tag = common_pb2.PlaceholderValue(tag="$0", type=common_pb2.PlaceholderType.FloatVector, values=[struct.pack(f"<{len(query)}f", *query)])
    return milvus_pb2.SearchRequest(
        collection_name=name, nq=1, dsl_type=common_pb2.DslType.BoolExprV1, consistency_level=level,
        placeholder_group=common_pb2.PlaceholderGroup(placeholders=[tag]).SerializeToString(),
        search_params=pairs(anns_field="vector", topk=str(limit), metric_type="L2", params=params, round_decimal="-1"))


def pairs(**values: str) -> list:
    return [common_pb2.KeyValuePair(key=key, value=value) for key, value in values.items()]


def longs(name: str, values: list[int]):
    return schema_pb2.FieldData(type=schema_pb2.DataType.Int64, field_name=name, scalars=schema_pb2.ScalarField(
        long_data=schema_pb2.LongArray(data=values)))


def vectors(values: list[list[float]]):
    return schema_pb2.FieldData(type=schema_pb2.DataType.FloatVector, field_name="vector", vectors=schema_pb2.VectorField(
        dim=DIMENSION, float_vector=schema_pb2.FloatArray(data=[number for row in values for number in row])))
