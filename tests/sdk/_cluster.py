"""A cluster for SDK tests: a process of its own for each role and its standby, on the servers that the environment names.

Looks to a test like `_server.Server`. A kill takes two processes, the next ones in turn, so that a program that kills after each of ten steps
meets every one; `start` brings them back, and clients go to the other proxy then.
"""

import itertools
import os
import pathlib
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))

from cluster import MEMBERS, SERVERS, Cluster  # noqa: E402, the path is set above

# How many topics the shards of a test share.
CHANNELS = 4
# Two that are killed at the same time have different roles and don't stand by for each other.
TURNS = itertools.cycle(list(zip(list(MEMBERS), list(MEMBERS)[len(MEMBERS) // 2:])))


def servers() -> dict[str, str]:
    """Addresses and keys of etcd, Kafka and S3; skips the program where the environment names none."""
    missing = [name for name in SERVERS if not os.environ.get(name)]
    if missing:
        print(f"no servers for a cluster: {', '.join(missing)}")
        sys.exit(77)
    return {name: os.environ[name] for name in SERVERS}


def make(on: dict[str, str] | None = None) -> Cluster:
    """A cluster that doesn't run yet, in a directory of its own: where `./dev test` sweeps, if it runs this."""
    directory = tempfile.mkdtemp(prefix="cluster-", dir=os.environ.get("ELANUS_SERVERS_DATA"))
    # Long runs ask rootcoord for a new partition with every look.
    os.environ.setdefault("ROOTCOORD_MAXPARTITIONNUM", "100000")
    return Cluster.create(directory, os.environ["ELANUS_BIN"], on or servers(), CHANNELS)


class ClusterServer:
    """A cluster as one server."""

    # What a collection is loaded with.
    replicas = 2

    def __init__(self, environment: dict[str, str] | None = None, on: dict[str, str] | None = None):
        # The processes get the environment of whoever starts them.
        os.environ.update(environment or {})
        self.cluster = make(on)
        self.proxies = itertools.cycle(name for name in MEMBERS if MEMBERS[name] == "proxy")
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Starts what doesn't run; the seconds until all is healthy."""
        began = time.monotonic()
        self.cluster.up()
        self.port = self.cluster.members[next(self.proxies)]["port"]
        return time.monotonic() - began

    def kill(self) -> None:
        for name in next(TURNS):
            self.cluster.kill(name)

    def runs(self) -> bool:
        return all(self.cluster.pid(name) is not None for name in MEMBERS)

    def stop(self) -> int:
        """Asks all for a graceful stop; the first exit status that isn't 0."""
        return next((status for status in self.cluster.down().values() if status), 0)

    def close(self) -> None:
        """Ends what runs; logs stay where a test fails."""
        for name in MEMBERS:
            self.cluster.kill(name)
        if sys.exc_info()[0] is None:
            shutil.rmtree(self.cluster.directory)
        else:
            print(f"the processes' logs are in {self.cluster.directory}", file=sys.stderr)

    def log(self) -> str:
        return "\n".join(f"--- {name}\n{self.cluster.log(name, 1500)}" for name in MEMBERS)
