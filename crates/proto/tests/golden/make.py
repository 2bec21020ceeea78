#!/usr/bin/env python3
"""Prints messages.txt: messages as pymilvus builds and its own protobuf library encodes them, one `name hex` a line.

They are golden: the test in ../it/golden.rs states what each one means and never rewrites them. Run this, in an
environment with pymilvus==3.0.2, only to add a message:

    python make.py > messages.txt
"""

from pymilvus import CollectionSchema, DataType, FieldSchema
from pymilvus.client.prepare import Prepare
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

FIELDS = [
    {"name": "id", "type": DataType.INT64, "is_primary": True, "params": {}},
    {"name": "vector", "type": DataType.FLOAT_VECTOR, "params": {"dim": 4}},
    {"name": "sparse", "type": DataType.SPARSE_FLOAT_VECTOR, "params": {}},
    {"name": "title", "type": DataType.VARCHAR, "params": {"max_length": 16}},
    {"name": "price", "type": DataType.DOUBLE, "params": {}, "nullable": True},
]
ROWS = [
    {"id": 1, "vector": [0.5, -1.0, 0.0, 2.0], "sparse": {3: 0.25, 70000: 1.5}, "title": "first", "price": 9.5, "tag": 7},
    {"id": -2, "vector": [1.0, 2.0, 3.0, 4.0], "sparse": {0: 1.0}, "title": "zweites Stück", "price": None},
]


def create_collection():
    schema = CollectionSchema(
        [
            FieldSchema("id", DataType.INT64, is_primary=True, auto_id=True),
            FieldSchema("vector", DataType.FLOAT_VECTOR, dim=4),
            FieldSchema("count", DataType.INT32, default_value=-5),
        ],
        description="golden",
        enable_dynamic_field=True,
    )
    return Prepare.create_collection_request(
        "books", schema, shards_num=2, consistency_level="Strong", properties={"collection.ttl.seconds": 60}
    )


def search():
    return Prepare.search_requests_with_expr(
        "books",
        "vector",
        {"metric_type": "COSINE", "params": {"ef": 64}},
        limit=3,
        data=[[0.5, -1.0, 0.0, 2.0], [1.0, 2.0, 3.0, 4.0]],
        expr="price < {limit}",
        expr_params={"limit": 10},
        partition_names=["2024", "2025"],
        output_fields=["title"],
    )


def search_results():
    return milvus_pb2.SearchResults(
        status=common_pb2.Status(extra_info={"report_value": "6", "cache_hit_ratio": "1"}),
        results=schema_pb2.SearchResultData(
            num_queries=2,
            top_k=2,
            topks=[2, 1],
            scores=[0.875, 0.5, -0.25],
            ids=schema_pb2.IDs(int_id=schema_pb2.LongArray(data=[1, -2, 9_007_199_254_740_993])),
            output_fields=["vector"],
            fields_data=[
                schema_pb2.FieldData(
                    type=DataType.FLOAT_VECTOR,
                    field_name="vector",
                    field_id=101,
                    vectors=schema_pb2.VectorField(
                        dim=2, float_vector=schema_pb2.FloatArray(data=[0.5, 1.5, 2.5, 3.5, 4.5, 5.5])
                    ),
                )
            ],
        ),
        collection_name="books",
        session_ts=455_000_000_000_000_000,
    )


def failure():
    return milvus_pb2.MutationResult(
        status=common_pb2.Status(
            error_code=common_pb2.RateLimit,
            reason="slow down",
            code=8,
            retriable=True,
            detail="slow down",
            extra_info={"is_input_error": "false"},
        )
    )


def connect():
    info = common_pb2.ClientInfo(sdk_type="Python", sdk_version="3.0.2", user="root", host="laptop")
    info.reserved.update({"b": "2", "a": "1"})
    return milvus_pb2.ConnectRequest(client_info=info)


MESSAGES = {
    "create_collection": create_collection,
    "connect": connect,
    "insert": lambda: Prepare.row_insert_param(
        "books", ROWS, "2024", FIELDS, schema_timestamp=77, enable_dynamic=True, namespace=""
    ),
    "search": search,
    "query": lambda: Prepare.query_request("books", "id in [1]", ["*"], [], guarantee_timestamp=1),
    "delete": lambda: Prepare.delete_request("books", "id == {id}", "2024", "Bounded", expr_params={"id": 1}),
    "search_results": search_results,
    "failure": failure,
}


def main():
    for name, build in MESSAGES.items():
        print(name, build().SerializeToString(deterministic=True).hex())


if __name__ == "__main__":
    main()
