"""Loss is loud: damage to each kind of file of a stopped server, then a start, through a real SDK.

A read that needs what is damaged must fail with an error that names it, never with a part of the rows; everything else is served. What must
not start says why. Damaged objects that come back are taken up without a restart.
"""
# sdk: pymilvus-3.0.2

import atexit
import glob
import logging
import os
import shutil
import time

import pymilvus

from _server import Server

# The SDK logs every refusal; here refusals are what is wanted.
logging.disable(logging.CRITICAL)

DIMENSION = 8
# Enough for an index.
ROWS = 1_200
DELETED = 10
DATA_INTEGRITY = 1009
# The scrub begins 10 s after a segment was opened; the machine may be slow.
NOTICED_SECONDS_MAX = 60

# Collections with one file that will be damaged: which kind, how, and whether the damage shows at open or when the scrub comes.
OBJECTS = {
    "fixed": ("fixed.arrow", "flip"),
    "vectors": ("vec.*.arrow", "flip"),
    "texts": ("var.parquet", "flip"),
    "keys": ("keys", "flip"),
    "stats": ("stats", "flip"),
    "absent": ("fixed.arrow", "remove"),
    "short": ("vec.*.arrow", "cut"),
}
# Others of the same contents.
OTHERS = ["deletes", "index", "index_absent", "manifest", "fine"]

wrong: list[str] = []
servers: list[Server] = []


def end_all() -> None:
    """No server outlives this program, however it ends."""
    for server in servers:
        if server.process is not None and server.process.poll() is None:
            server.kill()


def expect(truth: bool, what: str) -> None:
    if not truth:
        wrong.append(what)


def rows(first: int) -> list[dict]:
    return [{"id": i, "text": f"text {i}", "number": i, "vector": [float(i), 1.0] + [0.0] * (DIMENSION - 2)} for i in range(first, first + ROWS)]


class Case:
    """A server over a copy of the prepared data."""

    def __init__(self, prepared: str, damage):
        self.server = Server.__new__(Server)
        self.server.directory = prepared + ".case"
        shutil.rmtree(self.server.directory, ignore_errors=True)
        shutil.copytree(prepared, self.server.directory)
        self.server.environment, self.server.process = {}, None
        self.data = os.path.join(self.server.directory, "data")
        self.server.arguments = ["--data", self.data]
        damage(self)
        servers.append(self.server)

    def start(self) -> pymilvus.MilvusClient:
        self.server.start()
        self.client = pymilvus.MilvusClient(self.server.uri)
        return self.client

    def objects(self, pattern: str) -> list[str]:
        return sorted(glob.glob(os.path.join(self.data, "objects", pattern)))

    def named(self, path: str) -> str:
        return os.path.relpath(path, os.path.join(self.data, "objects"))

    def close(self) -> None:
        if self.server.process is not None and self.server.process.poll() is None:
            self.server.kill()
        shutil.rmtree(self.server.directory)


def flip(path: str, at: float = 0.5) -> None:
    with open(path, "r+b") as file:
        size = os.path.getsize(path)
        place = min(size - 1, int(size * at))
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x10]))


def cut(path: str) -> None:
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) - 100)


DAMAGE = {"flip": flip, "remove": os.remove, "cut": cut}


def prepare() -> tuple[str, dict[str, int]]:
    server = Server()
    client = pymilvus.MilvusClient(server.uri)
    for name in [*OBJECTS, *OTHERS]:
        schema = pymilvus.MilvusClient.create_schema(auto_id=False)
        schema.add_field("id", pymilvus.DataType.INT64, is_primary=True)
        schema.add_field("text", pymilvus.DataType.VARCHAR, max_length=32)
        schema.add_field("number", pymilvus.DataType.INT64)
        schema.add_field("vector", pymilvus.DataType.FLOAT_VECTOR, dim=DIMENSION)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="L2", params={"M": 8, "efConstruction": 40})
        client.create_collection(name, schema=schema, index_params=index, consistency_level="Strong")
        for partition, first in [("one", 0), ("two", ROWS)]:
            client.create_partition(name, partition)
            client.insert(name, rows(first), partition_name=partition)
            client.flush(name)
        client.delete(name, ids=list(range(DELETED)))
        client.flush(name)
    for name in [*OBJECTS, *OTHERS]:
        until(lambda: client.describe_index(name, "vector")["pending_index_rows"] == 0, f"the index of {name}")
    ids = {name: client.describe_collection(name)["collection_id"] for name in [*OBJECTS, *OTHERS]}
    client.close()
    expect(server.stop() == 0, "the server didn't stop gracefully")
    return server.directory, ids


def until(holds, what: str, seconds: float = NOTICED_SECONDS_MAX) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within {seconds} s")
        time.sleep(0.1)


def count(client, name: str, **more) -> int:
    return client.query(name, filter="", output_fields=["count(*)"], **more)[0]["count(*)"]


def search(client, name: str, **more) -> list[int]:
    found = client.search(name, data=[[ROWS + 5.0, 1.0] + [0.0] * (DIMENSION - 2)], limit=3, output_fields=["number", "text"], **more)
    return [hit["id"] for hit in found[0]]


def refused(what: str, call, *fragments: str, code: int | None = DATA_INTEGRITY) -> None:
    try:
        answer = call()
    except pymilvus.MilvusException as error:
        expect(code in (None, error.code), f"{what}: code {error.code} instead of {code}: {error.message}")
        for fragment in fragments:
            expect(fragment in str(error), f"{what}: '{fragment}' isn't in: {error}")
        return
    wrong.append(f"{what}: answered {answer}")


def is_refused(call) -> bool:
    try:
        call()
    except pymilvus.MilvusException:
        return True
    return False


def whole(client, name: str, what: str) -> None:
    """The collection serves, reads and writes."""
    try:
        expect(count(client, name) == 2 * ROWS - DELETED, f"{what}: {name} has {count(client, name)} rows")
        expect(sorted(search(client, name)) == [ROWS + 4, ROWS + 5, ROWS + 6], f"{what}: a search of {name} finds {search(client, name)}")
        client.upsert(name, rows(ROWS)[:1], partition_name="two")
    except pymilvus.MilvusException as error:
        wrong.append(f"{what}: {name} doesn't serve: {error}")


def damaged_segments(prepared: str, ids: dict[str, int]) -> None:
    """Every kind of a segment's files, one in each collection, in one start."""
    hurt: dict[str, str] = {}

    def damage(case: Case) -> None:
        for name, (kind, how) in OBJECTS.items():
            # The older segment: that of partition one.
            path = case.objects(f"segment/{ids[name]}/*/{kind}")[0]
            hurt[name] = path
            DAMAGE[how](path)

    case = Case(prepared, damage)
    originals = {name: path.replace(".case", "") for name, path in hurt.items()}
    client = case.start()
    for name, path in hurt.items():
        until(lambda: is_refused(lambda: count(client, name)), f"damage to {case.named(path)} is noticed")
        segment = case.named(path).split("/")[2]
        needed = [f"segment {segment} of shard", f"its {ROWS} rows", case.named(path)]
        refused(f"{name}: count", lambda: count(client, name), *needed)
        refused(f"{name}: search", lambda: search(client, name), *needed)
        refused(f"{name}: query by key", lambda: client.query(name, ids=[ROWS]), *needed)
        refused(f"{name}: delete by filter", lambda: client.delete(name, filter="number > 5"), *needed)
        refused(f"{name}: partition one", lambda: count(client, name, partition_names=["one"]), *needed)
        expect(count(client, name, partition_names=["two"]) == ROWS, f"{name}: partition two")
        expect(sorted(search(client, name, partition_names=["two"])) == [ROWS + 4, ROWS + 5, ROWS + 6], f"{name}: search of partition two")
        client.insert(name, rows(5 * ROWS)[:5], partition_name="two")
        client.delete(name, ids=[ROWS, 11])
        client.flush(name)
        expect(count(client, name, partition_names=["two"]) == ROWS + 4, f"{name}: partition two after writes")
    for name in OTHERS:
        whole(client, name, "beside damaged segments")
    expect("a segment is quarantined" in case.server.whole_log(), "the log doesn't name quarantined segments")
    expect(metric(case, "elanus_quarantined_segments") == len(hurt), "the gauge of quarantined segments")
    for name, path in hurt.items():
        shutil.copyfile(originals[name], path)
    for name in hurt:
        until(lambda: not is_refused(lambda: count(client, name)), f"{name} heals without a restart")
        # The delete of before hits the row in the segment that was away.
        expect(count(client, name) == 2 * ROWS - DELETED + 5 - 2, f"{name}: {count(client, name)} rows when healed")
    until(lambda: metric(case, "elanus_quarantined_segments") == 0, "the gauge falls")
    case.close()


def metric(case: Case, name: str) -> float:
    import urllib.request
    with urllib.request.urlopen(f"http://127.0.0.1:{case.server.metrics_port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def damaged_deletes_and_indexes(prepared: str, ids: dict[str, int]) -> None:
    deletes: list[str] = []

    def damage(case: Case) -> None:
        deletes.extend(case.objects(f"delete/{ids['deletes']}/*/*"))
        for path in deletes:
            flip(path)
        for path in case.objects(f"index/{ids['index']}/*/*/*"):
            flip(path)
        for path in case.objects(f"index/{ids['index_absent']}/*/*/*"):
            os.remove(path)

    case = Case(prepared, damage)
    before = {name: set(case.objects(f"index/{ids[name]}/*/*/*")) for name in ["index", "index_absent"]}
    client = case.start()
    named = case.named(deletes[0])
    refused("a damaged delete file: count", lambda: count(client, "deletes"), named, "isn't known")
    refused("a damaged delete file: search", lambda: search(client, "deletes", partition_names=["one"]), named, f"its {ROWS} rows")
    client.insert("deletes", rows(5 * ROWS)[:5], partition_name="two")
    client.flush("deletes")
    for name in before:
        # Searched by scan meanwhile.
        whole(client, name, "with a damaged index")
        until(lambda: rebuilt(case, ids[name], before[name]), f"the index of {name} is built anew")
        until(lambda: client.describe_index(name, "vector")["pending_index_rows"] == 0, f"{name} has its index again")
        whole(client, name, "with an index that was built anew")
    whole(client, "fine", "beside damaged indexes")
    case.close()


def rebuilt(case: Case, collection: int, before: set[str]) -> bool:
    return len(set(case.objects(f"index/{collection}/*/*/*")) - before) >= 2


def damaged_manifest(prepared: str, ids: dict[str, int]) -> None:
    """A shard whose manifest can't be read: its records above it are kept, and come back with the manifest."""
    manifest: list[str] = []
    original: list[bytes] = []
    case = Case(prepared, lambda case: None)
    client = case.start()
    client.insert("manifest", [row | {"number": -1} for row in rows(3 * ROWS)[:7]], partition_name="two")
    case.server.kill()

    manifest.extend(case.objects(f"manifest/{ids['manifest']}/0/*"))
    expect(len(manifest) >= 1, "there is a manifest")
    for path in manifest:
        with open(path, "rb") as file:
            original.append(file.read())
        flip(path)
    client = case.start()
    named = f"manifest/{ids['manifest']}/0/"
    refused("a damaged manifest: count", lambda: count(client, "manifest"), named, "collection not fully loaded", code=103)
    refused("a damaged manifest: insert", lambda: client.insert("manifest", rows(0)[:1]), "is quarantined", named)
    refused("a damaged manifest: flush", lambda: client.flush("manifest"), named)
    for name in ["fine", "index", "deletes"]:
        whole(client, name, "beside a damaged manifest")
    until(lambda: case.objects(f"quarantine/{ids['manifest']}/0/*"), "the shard's records are copied")
    # A graceful stop cuts the log as far as it can be.
    expect(case.server.stop() == 0, "a stop with a quarantined shard")
    client = case.start()
    refused("a damaged manifest after a restart: count", lambda: count(client, "manifest"), named, code=103)
    expect(case.server.stop() == 0, "another stop with a quarantined shard")
    expect(len(case.objects(f"quarantine/{ids['manifest']}/0/*")) >= 1, "the copies stay")
    for path, content in zip(manifest, original):
        if os.path.exists(path):
            with open(path, "wb") as file:
                file.write(content)
    client = case.start()
    expect(count(client, "manifest") == 2 * ROWS - DELETED + 7, f"{count(client, 'manifest')} rows when the manifest is back")
    expect(len(client.query("manifest", filter="number == -1")) == 7, "the rows above the manifest are back")
    until(lambda: not case.objects(f"quarantine/{ids['manifest']}/0/*"), "the copies go when a manifest holds them")
    case.server.kill()
    client = case.start()
    expect(count(client, "manifest") == 2 * ROWS - DELETED + 7, f"{count(client, 'manifest')} rows after another kill")
    whole(client, "fine", "in the end")
    # One that can't be mended can be dropped.
    case.server.kill()
    for path in case.objects(f"manifest/{ids['manifest']}/0/*"):
        os.remove(path)
    client = case.start()
    client.drop_collection("manifest")
    until(lambda: not case.objects(f"quarantine/{ids['manifest']}/*/*"), "a dropped shard leaves nothing in quarantine")
    expect("manifest" not in client.list_collections(), "the collection is gone")
    case.close()


def failing(client, names: list[str]) -> list[str]:
    return [name for name in names if is_refused(lambda: count(client, name))]


def damaged_checkpoint(prepared: str, loopback: str) -> None:
    """Every other channel can't be taken up: its collections are out of service by name, and come back with its checkpoint."""
    case = Case(prepared, lambda case: None)
    case.server.environment = {"ELANUS_LOOPBACK": loopback}
    originals: dict[str, bytes] = {}
    for path in case.objects("checkpoint/*/*")[::2]:
        with open(path, "rb") as file:
            originals[path] = file.read()
        flip(path)
    client = case.start()
    names = [*OBJECTS, *OTHERS]
    failed = failing(client, names)
    expect(1 <= len(failed) < len(names), f"damaged checkpoints concern their channels: {failed}")
    for name in failed:
        refused(f"a damaged checkpoint: count of {name}", lambda: count(client, name), "can't be taken up", "checkpoint/", code=103)
        refused(f"a damaged checkpoint: insert into {name}", lambda: client.insert(name, rows(0)[:1]), "can't be taken up", "checkpoint/", "not written")
    for name in set(names) - set(failed):
        whole(client, name, "beside damaged checkpoints")
    for path, content in originals.items():
        with open(path, "wb") as file:
            file.write(content)
    until(lambda: not failing(client, failed), "channels are taken up when their checkpoints are back")
    for name in failed:
        whole(client, name, "with its checkpoint back")
    case.close()


def log_files(case: Case) -> list[str]:
    return sorted(glob.glob(os.path.join(case.data, "log", "*.log")))


def damaged_log(prepared: str) -> None:
    """Acknowledged and unflushed rows that the log lost: their channel is out of service, by name; others go on."""
    case = Case(prepared, lambda case: None)
    client = case.start()
    client.insert("fine", [row | {"text": "needle in the log"} for row in rows(3 * ROWS)[:3]], partition_name="two")
    client.insert("index", rows(3 * ROWS)[:3], partition_name="two")
    case.server.kill()
    content = open(log_files(case)[-1], "rb").read()
    at = content.index(b"needle in the log")
    with open(log_files(case)[-1], "r+b") as file:
        file.seek(at)
        file.write(b"N")
    client = case.start()
    refused("a damaged log: count", lambda: count(client, "fine"), "log of channel", "are damaged or missing", code=None)
    refused("a damaged log: insert", lambda: client.insert("fine", rows(0)[:1]), "log of channel", "are damaged or missing", "not written", code=None)
    expect(count(client, "index") == 2 * ROWS - DELETED + 3, "the rows of another channel")
    whole(client, "deletes", "beside a damaged log")
    case.close()


def cut_log(prepared: str) -> None:
    """The log ends below a checkpoint: what lay between is lost, by name."""
    def damage(case: Case) -> None:
        newest = log_files(case)[-1]
        with open(newest, "r+b") as file:
            file.truncate(os.path.getsize(newest) // 2 // 64 * 64)

    case = Case(prepared, damage)
    outcome(case, "a cut log", "log")
    case.close()


def outcome(case: Case, what: str, *fragments: str) -> None:
    """A start that fails by name, or a server that refuses what is lost by name."""
    names = [*OBJECTS, *OTHERS]
    try:
        client = case.start()
    except RuntimeError as error:
        for fragment in fragments:
            expect(fragment in str(error), f"{what}: '{fragment}' isn't in: {error}")
        return
    failed = failing(client, names)
    expect(len(failed) > 0, f"{what}: everything is served")
    for name in failed:
        refused(f"{what}: {name}", lambda: count(client, name), *fragments, code=None)


def start_fails(prepared: str, what: str, damage, *fragments: str) -> None:
    case = Case(prepared, damage)
    try:
        case.start()
        wrong.append(f"{what}: the server starts")
    except RuntimeError as error:
        for fragment in fragments:
            expect(fragment in str(error), f"{what}: '{fragment}' isn't in: {error}")
    case.close()


def flip_at(path: str, at: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def flip_text(path: str, text: bytes) -> None:
    content = open(path, "rb").read()
    places = [at for at in range(len(content)) if content.startswith(text, at)]
    expect(len(places) > 0, f"{text} isn't in {path}")
    for at in places:
        flip_at(path, at)


def failing_starts(prepared: str) -> None:
    meta = lambda case: os.path.join(case.data, "meta.redb")
    start_fails(prepared, "meta.redb without its magic", lambda case: flip_at(meta(case), 2), "meta.redb")
    start_fails(prepared, "a damaged document", lambda case: flip_text(meta(case), b'"name":"fine"'), "meta.redb", "data integrity check failed")
    start_fails(prepared, "an empty meta.redb", lambda case: open(meta(case), "wb").close(), "meta.redb")
    start_fails(prepared, "the header of a log file", lambda case: flip_at(log_files(case)[-1], 8), "log file", ".log")


def unflushed_bound(prepared: str) -> None:
    """While segments can't be written, rows in memory are bounded: writes are refused by name, and go on when flushes do."""
    case = Case(prepared, lambda case: None)
    case.server.environment = {"ELANUS_FLUSH_UNFLUSHEDBYTES": "4"}
    segments = os.path.join(case.data, "objects", "segment")
    os.rename(segments, segments + ".away")
    # A file where the directory should be: no segment can be put.
    open(segments, "w").close()
    client = case.start()
    client.create_collection("bounded", dimension=256, auto_id=True)

    def write():
        client.insert("bounded", [{"vector": [float(i)] * 256} for i in range(500)])

    def fill() -> None:
        for _ in range(40):
            write()

    refused("writes beyond the bound", fill, "are there for rows that aren't flushed yet", "a write of ", "memory limit exceeded", code=3)
    expect(0 < count(client, "bounded", consistency_level="Strong") <= 4_500, "rows that were written are read")
    os.remove(segments)
    os.rename(segments + ".away", segments)
    until(lambda: not is_refused(write), "writes go on when flushes do")
    # A writer that outruns the flushes is refused again and again, and comes through.
    for _ in range(40):
        until(lambda: not is_refused(write), "and go on")
    case.close()


def main() -> None:
    prepared, ids = prepare()
    atexit.register(end_all)
    try:
        damaged_segments(prepared, ids)
        damaged_deletes_and_indexes(prepared, ids)
        damaged_manifest(prepared, ids)
        damaged_checkpoint(prepared, loopback="0")
        # A refusal keeps its meaning between processes.
        damaged_checkpoint(prepared, loopback="1")
        damaged_log(prepared)
        cut_log(prepared)
        failing_starts(prepared)
        unflushed_bound(prepared)
    finally:
        shutil.rmtree(prepared)
    if wrong:
        raise SystemExit(f"{len(wrong)} things are wrong:\n  " + "\n  ".join(wrong))
    print("damage is named where it is, and the rest is served")


if __name__ == "__main__":
    main()
