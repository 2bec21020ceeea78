"""Writers, readers and probes against a cluster, for tests that disturb it meanwhile.

Writers change rows of their own and remember every answer (`_checker.py`); readers read all of a writer's rows strongly beside it, through the other
proxy; probes repeat one small call each, so that their gaps say how long something was away. Nothing here stops at a failed call: failures
are counted, and what was read wrongly ends the test.
"""

import itertools
import random
import threading
import time
from collections.abc import Callable

from pymilvus.grpc_gen import milvus_pb2

from _checker import Checker, Wrong
from _cluster import MEMBERS, Cluster
from _wire import DIMENSION, Failed, Wire

ROWS, STILL, NAMES = "rows", "still", "names"
WRITERS = 2
# Keys of one writer; those of the next one follow.
KEYS = 1_000
STILL_ROWS = 200
# Enough keys to meet every shard.
SENTINELS = {-key: 1 for key in range(1, 17)}
CALL_SECONDS_MAX = 15
SETTLE_SECONDS_MAX = 60
PROXIES = [name for name in MEMBERS if MEMBERS[name] == "proxy"]


class Worker(threading.Thread):
    """Repeats a step until the load ends; a wrong answer ends the load."""

    def __init__(self, load: "Load", name: str):
        super().__init__(name=name, daemon=True)
        self.load = load
        self.idle = threading.Event()

    def run(self) -> None:
        while not self.load.ended.is_set():
            if self.load.paused.is_set():
                self.idle.set()
                time.sleep(0.01)
                continue
            self.idle.clear()
            try:
                self.step()
            except Exception as error:  # noqa: BLE001, whatever it is, it is a finding
                self.load.wrong.append(f"{self.name}: {error!r}")
                self.load.ended.set()
        self.idle.set()

    def step(self) -> None:
        raise NotImplementedError


class Writer(Worker):
    def __init__(self, load: "Load", number: int, seed: int):
        super().__init__(load, f"writer {number}")
        self.low, self.high = number * KEYS, (number + 1) * KEYS
        self.random = random.Random(seed)
        self.checker = Checker()
        self.failed = 0
        self.ways = itertools.cycle(load.wires[(number + i) % len(PROXIES)] for i in range(len(PROXIES)))
        self.way = next(self.ways)

    def step(self) -> None:
        kind = self.random.choice(["Insert", "Upsert", "Upsert", "Delete"])
        keys = self.random.sample(range(self.low, self.high), self.random.randint(1, 40))
        if kind == "Insert":
            # Milvus keeps two rows of one key: only keys that are certainly absent are inserted.
            keys = [key for key in keys if self.checker.is_absent(key)]
            if not keys:
                return
        version = self.checker.next()
        wanted = {key: 0 if kind == "Delete" else version for key in keys}
        self.checker.begin(wanted)
        try:
            if kind == "Delete":
                self.way.delete(ROWS, keys)
            else:
                self.way.write(kind, ROWS, wanted)
            self.checker.acknowledge(wanted)
        except Failed:
            self.checker.doubt(wanted)
            self.failed += 1
            self.way = next(self.ways)
            time.sleep(0.02)


class Reader(Worker):
    def __init__(self, load: "Load", number: int):
        super().__init__(load, f"reader {number}")
        self.reads = self.failed = 0
        self.writers = itertools.cycle(load.writers[number:] + load.writers[:number])
        self.ways = itertools.cycle(load.wires)

    def step(self) -> None:
        writer, way = next(self.writers), next(self.ways)
        look = writer.checker.look()
        try:
            rows = way.rows(ROWS, f"id >= {writer.low} and id < {writer.high}")
        except Failed:
            self.failed += 1
            time.sleep(0.02)
            return
        writer.checker.saw(look, rows)
        self.reads += 1


class Probe(Worker):
    """One small call, again and again; `tries` holds (began, ended, failure or None)."""

    def __init__(self, load: "Load", name: str, call: Callable[[Wire], None], proxy: int | None = None, pause: float = 0.05):
        super().__init__(load, name)
        self.call, self.pause = call, pause
        # One proxy's alone, or of whichever answers.
        self.proxy = None if proxy is None else PROXIES[proxy]
        self.ways = itertools.cycle(load.wires if proxy is None else [load.wires[proxy]])
        self.way = next(self.ways)
        self.tries: list[tuple[float, float, str | None]] = []

    def step(self) -> None:
        began, failure = time.monotonic(), None
        try:
            self.call(self.way)
        except Failed as error:
            failure = str(error)
            self.way = next(self.ways)
        self.tries.append((began, time.monotonic(), failure))
        self.load.ended.wait(self.pause)

    def gap(self, since: float, until: float) -> float:
        """The longest time between two answers that succeeded, of those that touch the time between."""
        good = [ended for _, ended, failure in self.tries if failure is None]
        before = max((ended for ended in good if ended <= since), default=since)
        times = [before] + [ended for ended in good if since < ended <= until]
        # The one that ended the gap may have come a little later.
        times += [min((ended for ended in good if ended > until), default=time.monotonic())] if len(times) == 1 else []
        return max((later - earlier for earlier, later in zip(times, times[1:])), default=0.0)

    def failures(self, since: float, until: float) -> list[str]:
        return [failure for began, ended, failure in self.tries if failure is not None and ended > since and began < until]

    def has_succeeded(self, since: float) -> bool:
        """Whether a call that began after a moment was answered with success."""
        return any(failure is None and began > since for began, _, failure in reversed(self.tries[-50:]))


class Load:
    """All of them, on collections of their own: `rows` is written, `still` is searched and never changes, `names` has no rows."""

    def __init__(self, cluster: Cluster, seed: int, replicas: int, call_seconds: float = CALL_SECONDS_MAX):
        self.cluster = cluster
        self.ended, self.paused = threading.Event(), threading.Event()
        self.wrong: list[str] = []
        self.wires = [Wire(cluster.address(name), call_seconds) for name in PROXIES]
        first = self.wires[0]
        first.create(ROWS, index="HNSW", replicas=replicas)
        first.create(STILL, replicas=replicas, rows={key: 1 for key in range(STILL_ROWS // 2)})
        first.flush(STILL)
        first.write("Insert", STILL, {key: 1 for key in range(STILL_ROWS // 2, STILL_ROWS)})
        first.create(NAMES)
        self.writers = [Writer(self, number, seed + number) for number in range(WRITERS)]
        self.readers = [Reader(self, number) for number in range(WRITERS)]
        counter = itertools.count()
        self.writes = [Probe(self, f"write through {name}", lambda way: way.write("Upsert", ROWS, SENTINELS), i) for i, name in enumerate(PROXIES)]
        self.searches = [Probe(self, f"search through {name}", search_still, i) for i, name in enumerate(PROXIES)]
        self.coordinators = {
            "rootcoord": Probe(self, "a partition", lambda way: way.call("CreatePartition", milvus_pb2.CreatePartitionRequest(
                collection_name=NAMES, partition_name=f"p{next(counter)}"))),
            "datacoord": Probe(self, "a flush", lambda way: way.flush(NAMES), pause=0.1),
            "querycoord": Probe(self, "a load state", lambda way: way.call("GetLoadState", milvus_pb2.GetLoadStateRequest(collection_name=STILL))),
            "indexcoord": Probe(self, "an index", lambda way: way.call("DescribeIndex", milvus_pb2.DescribeIndexRequest(collection_name=STILL))),
        }
        self.flushes = Probe(self, "flushes of rows", lambda way: way.flush(ROWS), pause=2)

    @property
    def probes(self) -> list[Probe]:
        return [*self.writes, *self.searches, *self.coordinators.values()]

    @property
    def workers(self) -> list[Worker]:
        return [*self.writers, *self.readers, *self.probes, self.flushes]

    def start(self) -> None:
        for worker in self.workers:
            worker.start()

    def end(self) -> None:
        """Ends all; raises if something was wrong."""
        self.ended.set()
        for worker in self.workers:
            worker.join(2 * CALL_SECONDS_MAX)
        for wire in self.wires:
            wire.close()
        self.check()

    def check(self) -> None:
        if self.wrong:
            raise Wrong("; ".join(self.wrong))

    def await_recovery(self, since: float, but: set[str], seconds_max: float) -> None:
        """Until each probe has succeeded that began after a moment; those of a proxy in `but` aside."""
        waited = [probe for probe in self.probes if probe.proxy not in but]
        deadline = time.monotonic() + seconds_max
        while not all(probe.has_succeeded(since) for probe in waited):
            self.check()
            if time.monotonic() > deadline:
                late = {probe.name: (probe.failures(since, deadline) or ["no answer"])[-1] for probe in waited if not probe.has_succeeded(since)}
                raise Wrong(f"not as before after {seconds_max} s: {late}")
            time.sleep(0.02)

    def settle(self) -> None:
        """Lets everything that is on its way arrive, and compares all rows with what they may be. Needs all processes."""
        self.paused.set()
        try:
            for worker in self.writers + self.readers:
                if not worker.idle.wait(2 * CALL_SECONDS_MAX):
                    raise Wrong(f"{worker.name} has a call that doesn't end")
            # What a proxy still has to send lies before these in its streams.
            for wire in self.wires:
                repeat(lambda wire=wire: wire.write("Upsert", ROWS, SENTINELS))
            rows = repeat(lambda: self.wires[0].rows(ROWS, f"id >= {min(SENTINELS)}"))
            count = repeat(lambda: self.wires[1].count(ROWS))
            if count != len(rows):
                raise Wrong(f"count(*) is {count}, {len(rows)} rows are there")
            for writer in self.writers:
                writer.checker.settled([row for row in rows if writer.low <= row["id"] < writer.high])
        finally:
            self.paused.clear()
        self.check()

    @property
    def acknowledged(self) -> int:
        return sum(writer.checker.acknowledged for writer in self.writers)

    @property
    def reads(self) -> int:
        return sum(reader.reads for reader in self.readers)


def search_still(way: Wire) -> None:
    """Everything that there is: an answer that lacks a row and doesn't say so is wrong."""
    found = way.search(STILL, [0.0] * DIMENSION, STILL_ROWS)
    if sorted(found) != list(range(STILL_ROWS)):
        raise Wrong(f"a search finds {len(found)} rows, {len(set(found))} of them different, of {STILL_ROWS}")


def repeat(call):
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        try:
            return call()
        except Failed as error:
            if time.monotonic() > deadline:
                raise Wrong(f"nothing works after {SETTLE_SECONDS_MAX} s: {error}") from None
            time.sleep(0.05)
