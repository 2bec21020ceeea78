"""A cluster under writers and readers while etcd is away, and while etcd and Kafka are killed and started again.

    ELANUS_BIN=… ELANUS_TEST_S3=… … python cluster_outage.py        etcd away for 20 s; ELANUS_LONG=1 for three minutes

While etcd is away no read and no write fails whose way is known, and no process ends. A data node that is killed meanwhile can't be replaced: writes to
its channels are refused by the channel's name, reads of what is applied go on, and once etcd is back everything goes on. In the end every
acknowledged row is there once. etcd and Kafka are this test's own.
"""
# sdk: pymilvus-3.0.2
# fixture: cluster

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import _cluster
from _checker import Wrong
from _load import Load
from _cluster import MEMBERS

LONG = os.environ.get("ELANUS_LONG") == "1"
OUTAGE_SECONDS = 180 if LONG else 20
RECOVERY_SECONDS_MAX = 30
# Short, so that calls are refused within the outage.
CALL_SECONDS = 4
SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts/servers"


class OwnServers:
    """An etcd and a Kafka that nobody else uses."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="cluster-servers-", dir=os.environ.get("ELANUS_SERVERS_DATA"))
        self.addresses: dict[str, str] = {}

    def run(self, server: str, *arguments: str) -> str:
        done = subprocess.run([SCRIPTS / server, *arguments], env=os.environ | {"ELANUS_SERVERS_DATA": self.directory}, check=False,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{server} {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def start(self) -> None:
        for server in ["etcd", "kafka"]:
            self.addresses |= dict(line.split("=", 1) for line in self.run(server, "start").splitlines() if "=" in line)

    def stop(self) -> None:
        for server in ["etcd", "kafka"]:
            self.run(server, "stop")
        shutil.rmtree(self.directory, ignore_errors=True)


class Outage:
    def __init__(self, servers: OwnServers, server: _cluster.ClusterServer):
        self.servers, self.cluster = servers, server.cluster
        self.load = Load(server.cluster, 1, server.replicas, CALL_SECONDS)
        self.pids = {name: server.cluster.pid(name) for name in MEMBERS}

    def known(self) -> int:
        """Calls that failed although their way is known."""
        load = self.load
        probes = sum(1 for probe in load.writes + load.searches for _, _, failure in probe.tries if failure is not None)
        return probes + sum(worker.failed for worker in load.writers + load.readers)

    def why(self, since: float) -> list[str]:
        return [f"{probe.name}: {failure}" for probe in self.load.writes + self.load.searches for failure in probe.failures(since, time.monotonic())]

    def nobody_ended(self) -> None:
        ended = [name for name, pid in self.pids.items() if self.cluster.pid(name) != pid]
        if ended:
            raise Wrong(f"ended by themselves: {', '.join(ended)}")

    def etcd_away(self) -> None:
        failed, calls, since = self.known(), self.calls(), time.monotonic()
        self.servers.run("etcd", "kill", "1")
        time.sleep(OUTAGE_SECONDS / 2)
        self.load.check()
        self.nobody_ended()
        if self.known() != failed:
            raise Wrong(f"{self.known() - failed} calls failed while etcd was away: {self.why(since)[:5]}")
        print(f"etcd away for {OUTAGE_SECONDS / 2:.0f} s: 0 of {self.calls() - calls} reads and writes failed", flush=True)

    def node_gone(self) -> str:
        """Kills the data node that sequences what is written, while etcd is away."""
        name = max((name for name in MEMBERS if MEMBERS[name] == "datanode"), key=self.channels)
        since = time.monotonic()
        self.cluster.kill(name)
        self.pids[name] = None
        time.sleep(OUTAGE_SECONDS / 2)
        self.load.check()
        self.nobody_ended()
        refused = [failure for probe in self.load.writes for failure in probe.failures(since, time.monotonic())]
        if not refused:
            raise Wrong(f"no write was refused without {name}")
        unnamed = [failure for failure in refused if "-elanus-dml_" not in failure]
        if unnamed:
            raise Wrong(f"refusals that don't name the channel: {unnamed[:3]}")
        print(f"{name} killed meanwhile: {len(refused)} writes refused, as {refused[0]!r}", flush=True)
        return name

    def etcd_back(self) -> None:
        self.servers.run("etcd", "revive", "1")
        since = time.monotonic()
        self.await_recovery("etcd is back", since)
        self.cluster.up()
        self.pids = {name: self.cluster.pid(name) for name in MEMBERS}

    def restart(self, server: str) -> None:
        since = time.monotonic()
        self.servers.run(server, "kill", "1")
        self.servers.run(server, "revive", "1")
        ready = time.monotonic()
        self.await_recovery(f"{server} was killed and took {ready - since:.1f} s to start again", ready)
        self.nobody_ended()

    def await_recovery(self, what: str, since: float) -> None:
        self.load.await_recovery(since, set(), RECOVERY_SECONDS_MAX)
        def after(probes) -> float:
            return max(min(ended for began, ended, failure in probe.tries if failure is None and ended > since) - since for probe in probes)
        load = self.load
        print(f"{what}: writes after {after(load.writes):.1f} s, searches after {after(load.searches):.1f} s, "
              f"coordinators after {after(load.coordinators.values()):.1f} s", flush=True)

    def channels(self, name: str) -> int:
        page = self.cluster.page(name)
        return sum(1 for channel in page["channels"] if channel["sequenced"] and channel["shards"]) if page else 0

    def calls(self) -> int:
        load = self.load
        return load.acknowledged + load.reads + sum(len(probe.tries) for probe in load.writes + load.searches)


def disturb(outage: Outage) -> None:
    load = outage.load
    load.start()
    load.await_recovery(time.monotonic(), set(), RECOVERY_SECONDS_MAX)
    outage.etcd_away()
    outage.node_gone()
    outage.etcd_back()
    load.settle()
    for server in ["etcd", "kafka", "etcd", "kafka"]:
        outage.restart(server)
        load.settle()
    load.end()
    print(f"{load.acknowledged} acknowledged writes, {load.reads} reads of all rows beside them: 0 missing, 0 resurrected, 0 duplicated")


def main() -> None:
    there = _cluster.servers()
    servers = OwnServers()
    server = outage = None
    try:
        servers.start()
        server = _cluster.ClusterServer(on=there | servers.addresses)
        outage = Outage(servers, server)
        disturb(outage)
    finally:
        if outage is not None:
            outage.load.ended.set()
        if server is not None:
            server.close()
        servers.stop()


if __name__ == "__main__":
    main()
