"""Reads beside writes and flushes: each strong read sees one moment, with all that was acknowledged before it and no row twice or back from the dead."""
# sdk: pymilvus-3.0.2
# fixture: standalone cluster

import threading
import time

import pymilvus

from _server import fixture

DIMENSION = 4
ROWS = 1_000
SECONDS = 12
SERVER = fixture()
NAME = "beside_writes"
# What was acknowledged: every row has at least this round, and every lower round is dead.
acknowledged = [0]
wrong: list[str] = []
reads = [0]
ended = threading.Event()


def rows(round_number: int) -> list[dict]:
    return [{"id": i, "round": round_number, "vector": [float(i), float(round_number), 0.0, 0.0]} for i in range(ROWS)]


def until_ended(step) -> None:
    client = pymilvus.MilvusClient(SERVER.uri)
    try:
        while not ended.is_set() and not wrong:
            step(client)
    except Exception as error:  # noqa: BLE001, any failure is a finding
        wrong.append(f"{step.__name__}: {error!r}")
    client.close()


def write(client) -> None:
    client.upsert(NAME, rows(acknowledged[0] + 1))
    acknowledged[0] += 1


def flush(client) -> None:
    client.flush(NAME)
    time.sleep(0.05)


def count(client) -> None:
    found = client.query(NAME, filter="", output_fields=["count(*)"], consistency_level="Strong")[0]["count(*)"]
    reads[0] += 1
    if found != ROWS:
        wrong.append(f"count(*) is {found} instead of {ROWS}")


def dead(client) -> None:
    least = acknowledged[0]
    found = client.query(NAME, filter=f"round < {least}", output_fields=["round"], consistency_level="Strong", limit=10)
    reads[0] += 1
    if found:
        wrong.append(f"rows of rounds {sorted({row['round'] for row in found})} are back, {least} was acknowledged")


def search(client) -> None:
    least = acknowledged[0]
    found = client.search(NAME, data=[[7.0, 0.0, 0.0, 0.0]], limit=ROWS, output_fields=["round"], consistency_level="Strong")[0]
    reads[0] += 1
    ids = [hit["id"] for hit in found]
    if len(set(ids)) != ROWS or len(ids) != ROWS or any(hit["entity"]["round"] < least for hit in found):
        wrong.append(f"a search finds {len(ids)} rows of {len(set(ids))} keys, the oldest of round {min(hit['entity']['round'] for hit in found)}, {least} was acknowledged")


def main() -> None:
    client = pymilvus.MilvusClient(SERVER.uri)
    schema = pymilvus.MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", pymilvus.DataType.INT64, is_primary=True)
    schema.add_field("round", pymilvus.DataType.INT64)
    schema.add_field("vector", pymilvus.DataType.FLOAT_VECTOR, dim=DIMENSION)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection(NAME, schema=schema, index_params=index, num_shards=2)
    client.insert(NAME, rows(0))
    threads = [threading.Thread(target=until_ended, args=(step,)) for step in [write, flush, count, count, dead, search]]
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)
    ended.set()
    for thread in threads:
        thread.join()
    SERVER.close()
    if wrong:
        raise SystemExit("\n".join(wrong))
    print(f"{acknowledged[0]} rounds of writes, {reads[0]} reads: each saw one moment")


if __name__ == "__main__":
    main()
