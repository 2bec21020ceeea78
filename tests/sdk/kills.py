"""Nothing acknowledged is lost, doubled or resurrected: a server is killed at random points of random work, and every answer is remembered.

    ELANUS_BIN=… python kills.py        ELANUS_LONG=1 for 200 kills instead of 50, ELANUS_SEED=N to repeat a run

One client inserts, upserts, deletes, flushes, builds and drops indexes; another process, in effect: a timer thread sends SIGKILL. What was
acknowledged must be there exactly once after the restart; what got no answer may be there once or not at all; nothing else is.
"""
# sdk: pymilvus-3.0.2

import logging
import os
import random
import sys
import threading
import time

import pymilvus

from _checker import Checker
from _server import Server

# The SDK logs every broken call; here they are what is wanted.
logging.disable(logging.CRITICAL)

NAME = "kills"
KEYS = 4_000
DIMENSION = 8
KILL_AFTER_SECONDS_MAX = 0.6
CALL_SECONDS_MAX = 5


class Run:
    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.checker = Checker()
        self.server = Server()
        self.connect()
        self.create()

    def connect(self) -> None:
        self.client = pymilvus.MilvusClient(self.server.uri, timeout=CALL_SECONDS_MAX)

    def create(self) -> None:
        schema = pymilvus.MilvusClient.create_schema(auto_id=False)
        schema.add_field("id", pymilvus.DataType.INT64, is_primary=True)
        schema.add_field("version", pymilvus.DataType.INT64)
        schema.add_field("vector", pymilvus.DataType.FLOAT_VECTOR, dim=DIMENSION)
        self.client.create_collection(NAME, schema=schema, num_shards=2, consistency_level="Strong")
        self.index()
        self.client.load_collection(NAME)

    def index(self) -> None:
        params = self.client.prepare_index_params()
        params.add_index("vector", index_type="HNSW", metric_type="L2", params={"M": 8, "efConstruction": 40})
        self.client.create_index(NAME, params, sync=False)

    def keys(self, most: int) -> list[int]:
        return self.random.sample(range(KEYS), self.random.randint(1, most))

    def rows(self, keys: list[int], version: int) -> list[dict]:
        return [{"id": key, "version": version, "vector": [self.random.random() for _ in range(DIMENSION)]} for key in keys]

    def write(self) -> None:
        """One change; what becomes of it is noted before and after."""
        kind = self.random.choice(["insert", "insert", "upsert", "upsert", "delete", "flush"])
        if kind == "flush":
            self.client.flush(NAME, timeout=CALL_SECONDS_MAX)
            return
        keys = self.keys(200)
        if kind == "insert":
            # Milvus keeps two rows of one key: only keys that are certainly absent are inserted.
            keys = [key for key in keys if self.checker.is_absent(key)]
            if not keys:
                return
        version = self.checker.next()
        wanted = {key: 0 if kind == "delete" else version for key in keys}
        self.checker.begin(wanted)
        if kind == "insert":
            self.client.insert(NAME, self.rows(keys, version), timeout=CALL_SECONDS_MAX)
        elif kind == "upsert":
            self.client.upsert(NAME, self.rows(keys, version), timeout=CALL_SECONDS_MAX)
        else:
            self.client.delete(NAME, ids=keys, timeout=CALL_SECONDS_MAX)
        self.checker.acknowledge(wanted)

    def work_until_killed(self) -> None:
        killer = threading.Timer(self.random.random() * KILL_AFTER_SECONDS_MAX, self.server.kill)
        killer.start()
        while killer.is_alive():
            try:
                self.write()
            except pymilvus.MilvusException:
                # Killed in the middle: what was begun may be there.
                break
            except Exception as error:  # noqa: BLE001: grpc raises its own kinds when a connection goes
                if "grpc" not in type(error).__module__:
                    raise
                break
        killer.join()

    def verify(self) -> float:
        seconds = self.server.start()
        self.connect()
        rows = self.client.query(NAME, filter="id >= 0", output_fields=["id", "version"], timeout=30)
        count = self.client.query(NAME, filter="", output_fields=["count(*)"], timeout=30)[0]["count(*)"]
        if count != len(rows):
            raise AssertionError(f"count(*) is {count}, {len(rows)} rows are there")
        self.checker.settled(rows)
        return seconds


def main() -> None:
    kills = 200 if os.environ.get("ELANUS_LONG") == "1" else 50
    seed = int(os.environ.get("ELANUS_SEED", time.time_ns() % 1_000_000))
    print(f"seed {seed}", flush=True)
    run = Run(seed)
    ready = []
    try:
        for _ in range(kills):
            run.work_until_killed()
            ready.append(run.verify())
    except BaseException:
        print(f"seed {seed}: failed after {len(ready)} kills; the server's log ends with:\n{run.server.log()}", file=sys.stderr)
        raise
    finally:
        run.server.close()
    print(f"{kills} kills, {run.checker.acknowledged} acknowledged writes: 0 missing, 0 resurrected, 0 duplicated; "
          f"ready again after {max(ready):.2f} s at most")


if __name__ == "__main__":
    main()
