#!/usr/bin/env python3
"""Elanus as a cluster on loopback: each role a process of its own, on real etcd, Kafka and S3.

    cluster.py up | down | status [--json] | kill NAME… | revive NAME… | pause NAME… | resume NAME… | env

`./dev cluster` starts the servers and calls this; SDK tests and benchmarks use the class `Cluster`. The members are below in MEMBERS: two
proxies, each coordinator twice (one leads, one stands by), two data nodes, two query nodes, one index node. All read one milvus.yaml, as operators
write it; a process's own ports and its local directory come from its environment, as operators set them.

Everything of a cluster (settings, ports, pids, logs, local files) is in one directory; what it keeps in etcd, Kafka and S3 bears that directory's
name and a number that is drawn once. So several clusters run at once, also on the same servers.

Read from the environment: ELANUS_SERVERS_DATA (the cluster is its subdirectory `cluster`); for the first `up`, ELANUS_BIN and the servers as
`./dev servers env` names them.
"""

import argparse
import concurrent.futures
import contextlib
import fcntl
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROLES = ["proxy", "rootcoord", "datacoord", "querycoord", "indexcoord", "datanode", "querynode", "indexnode"]
COUNTS = {role: 1 if role == "indexnode" else 2 for role in ROLES}
# Every process by name, with its role.
MEMBERS = {f"{role}{number}": role for role in ROLES for number in range(1, COUNTS[role] + 1)}
SERVERS = ["ELANUS_TEST_ETCD", "ELANUS_TEST_KAFKA", "ELANUS_TEST_S3", "ELANUS_TEST_S3_KEY", "ELANUS_TEST_S3_SECRET", "ELANUS_TEST_S3_BUCKET"]
# Where clients look for a Milvus.
CLIENT_PORT = 19530
READY_SECONDS_MAX = 90
STOP_SECONDS_MAX = 30
ANSWER_SECONDS_MAX = 2

SETTINGS = """# Read by every process of this cluster.
etcd:
  endpoints: {etcd}
  rootPath: {name}
minio:
  address: {s3}
  accessKeyID: {key}
  secretAccessKey: {secret}
  bucketName: {bucket}
  rootPath: {name}
  useSSL: false
common:
  storageType: remote
mq:
  type: kafka
kafka:
  brokerList: {kafka}
msgChannel:
  chanNamePrefix:
    cluster: {name}
rootCoord: {{ip: 127.0.0.1, dmlChannelNum: {channels}}}
dataCoord: {{ip: 127.0.0.1}}
queryCoord: {{ip: 127.0.0.1}}
indexCoord: {{ip: 127.0.0.1}}
proxy: {{ip: 127.0.0.1}}
dataNode: {{ip: 127.0.0.1}}
queryNode: {{ip: 127.0.0.1}}
indexNode: {{ip: 127.0.0.1}}
"""


class Failure(Exception):
    """What went wrong, for a person."""


class Cluster:
    """The cluster in a directory: nothing of it is in memory, so any process may act on it, one at a time."""

    def __init__(self, directory: str | os.PathLike):
        self.directory = pathlib.Path(directory)
        self.children: dict[int, subprocess.Popen] = {}
        self.members: dict[str, dict[str, int]] = {}
        if self.ports_file.exists():
            self.members = json.loads(self.ports_file.read_text())

    @property
    def ports_file(self) -> pathlib.Path:
        return self.directory / "ports.json"

    @classmethod
    def create(cls, directory: str | os.PathLike, binary: str, servers: dict[str, str], channels: int = 16, client_port: int | None = None) -> "Cluster":
        """Writes down a cluster that doesn't run yet, on `channels` topics. Its first proxy listens on `client_port` if that is free."""
        cluster = cls(directory)
        cluster.directory.mkdir(parents=True, exist_ok=True)
        # The ports come last: where they are, all is there.
        name = f"elanus-{cluster.directory.name}-{random.randrange(16**8):08x}"
        text = SETTINGS.format(
            name=name, etcd=servers["ELANUS_TEST_ETCD"], kafka=servers["ELANUS_TEST_KAFKA"], channels=channels,
            s3=servers["ELANUS_TEST_S3"].removeprefix("http://"), key=servers["ELANUS_TEST_S3_KEY"],
            secret=servers["ELANUS_TEST_S3_SECRET"], bucket=servers["ELANUS_TEST_S3_BUCKET"])
        (cluster.directory / "milvus.yaml").write_text(text)
        cluster.binary = binary
        free = free_ports(3 * len(MEMBERS))
        cluster.members = {member: {"port": next(free), "internal": next(free), "metrics": next(free)} for member in MEMBERS}
        if client_port is not None and is_free(client_port):
            cluster.members["proxy1"]["port"] = client_port
        cluster.ports_file.write_text(json.dumps(cluster.members))
        return cluster

    @property
    def binary(self) -> str:
        return (self.directory / "binary").read_text()

    @binary.setter
    def binary(self, path: str) -> None:
        (self.directory / "binary").write_text(os.path.abspath(path))

    # --- processes ---

    def pid(self, name: str) -> int | None:
        """The process's id, if the very process that was started still runs."""
        try:
            pid, born = (self.directory / f"{name}.pid").read_text().split()
        except (OSError, ValueError):
            return None
        child = self.children.get(int(pid))
        if child is not None:
            child.poll()
        return int(pid) if birth(int(pid)) == born else None

    def launch(self, name: str) -> None:
        """Starts a process and doesn't wait for it."""
        role, ports = MEMBERS[name], self.members[name]
        local = self.directory / f"local-{name}"
        local.mkdir(exist_ok=True)
        own = {"MILVUSCONF": str(self.directory), "METRICS_PORT": str(ports["metrics"]), "LOCALSTORAGE_PATH": str(local)}
        own[f"{role.upper()}_PORT"] = str(ports["port"])
        if role == "proxy":
            own["PROXY_INTERNALPORT"] = str(ports["internal"])
        with open(self.directory / f"{name}.log", "ab") as log:
            child = subprocess.Popen([self.binary, "run", role], env=os.environ | own, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     cwd=self.directory, start_new_session=True)
        self.children[child.pid] = child
        (self.directory / f"{name}.pid").write_text(f"{child.pid} {birth(child.pid)}")

    def up(self, names: list[str] | None = None) -> list[str]:
        """Starts what doesn't run and waits until all of `names` are healthy; which it started."""
        names = list(MEMBERS) if names is None else names
        missing = [name for name in names if self.pid(name) is None]
        for name in missing:
            self.launch(name)
        self.await_healthy(names)
        return missing

    def await_healthy(self, names: list[str]) -> None:
        deadline = time.monotonic() + READY_SECONDS_MAX
        for name in names:
            while (waiting := self.waiting(name)) != "":
                if self.pid(name) is None:
                    raise Failure(f"{name} ended; its log, {self.directory / name}.log, ends with:\n{self.log(name)}")
                if time.monotonic() > deadline:
                    raise Failure(f"{name} isn't healthy after {READY_SECONDS_MAX} s: {waiting}")
                time.sleep(0.02)

    def down(self) -> dict[str, int | None]:
        """Stops every process; the exit status of those that were this process's children. What was killed by its deadline has status -9."""
        there = {name: pid for name in MEMBERS if (pid := self.pid(name)) is not None}
        for pid in there.values():
            send(pid, signal.SIGCONT)
            send(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS_MAX
        for name, pid in there.items():
            while self.pid(name) is not None:
                if time.monotonic() > deadline:
                    send(pid, signal.SIGKILL)
                time.sleep(0.02)
        return {name: self.children[pid].wait() if pid in self.children else None for name, pid in there.items()}

    def remove(self) -> None:
        """Stops what runs and removes the directory. What etcd, Kafka and S3 hold stays there."""
        for name in MEMBERS:
            self.kill(name)
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self, name: str) -> None:
        """SIGKILL; returns when the process is gone. Nothing where it doesn't run."""
        if (pid := self.pid(name)) is not None:
            send(pid, signal.SIGKILL)
            while self.pid(name) is not None:
                time.sleep(0.002)

    def pause(self, name: str) -> None:
        """SIGSTOP: it stands still and keeps its connections."""
        if (pid := self.pid(name)) is None:
            raise Failure(f"{name} doesn't run")
        send(pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        if (pid := self.pid(name)) is None:
            raise Failure(f"{name} doesn't run")
        send(pid, signal.SIGCONT)

    def log(self, name: str, bytes_max: int = 4000) -> str:
        text = (self.directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return text[-bytes_max:]

    # --- what they say ---

    def address(self, name: str) -> str:
        """Where the process is reached: by clients if it is a proxy, else by the other processes."""
        return f"127.0.0.1:{self.members[name]['port']}"

    def metrics(self, name: str) -> str:
        """Where its health, metrics and status are."""
        return f"127.0.0.1:{self.members[name]['metrics']}"

    def waiting(self, name: str) -> str:
        """What the process waits for, as /healthz says it; empty if it is healthy."""
        try:
            return "" if self.ask(name, "/healthz") == "OK" else "no answer"
        except urllib.error.HTTPError as error:
            return error.read().decode(errors="replace")
        except OSError:
            return "no answer"

    def ask(self, name: str, path: str) -> str:
        with urllib.request.urlopen(f"http://{self.metrics(name)}{path}", timeout=ANSWER_SECONDS_MAX) as answer:
            return answer.read().decode()

    def page(self, name: str) -> dict | None:
        """What the process says of itself on /elanus/status; None if it says nothing."""
        try:
            return json.loads(self.ask(name, "/elanus/status"))
        except (OSError, ValueError):
            return None

    def leader(self, role: str) -> str | None:
        """Which process leads a coordinator's office."""
        for name in MEMBERS:
            if MEMBERS[name] == role and self.pid(name) is not None and role in (self.page(name) or {"leads": []})["leads"]:
                return name
        return None

    def status(self) -> list[dict]:
        """For machines: name, role, pid (null where it doesn't run), address, metrics (host:port both), healthy."""
        def of(name: str) -> dict:
            pid = self.pid(name)
            return {"name": name, "role": MEMBERS[name], "pid": pid, "address": self.address(name), "metrics": self.metrics(name),
                    "healthy": pid is not None and self.waiting(name) == ""}
        with concurrent.futures.ThreadPoolExecutor(len(MEMBERS)) as threads:
            return list(threads.map(of, MEMBERS))

    def table(self) -> list[list[str]]:
        """For people: name, role, health, what it owns, log lag, memory."""
        def ask(name: str) -> tuple[str, dict | None]:
            pid = self.pid(name)
            if pid is None:
                return "down", None
            if is_stopped(pid):
                return "paused", None
            return self.waiting(name) or "healthy", self.page(name)
        with concurrent.futures.ThreadPoolExecutor(len(MEMBERS)) as threads:
            answers = dict(zip(MEMBERS, threads.map(ask, MEMBERS)))
        ends: dict[str, int] = {}
        for _, page in answers.values():
            for channel in (page or {"channels": []})["channels"]:
                if channel["acknowledged"] is not None:
                    ends[channel["name"]] = max(channel["acknowledged"], ends.get(channel["name"], 0))
        rows = [["NAME", "ROLE", "HEALTH", "OWNS", "LAG", "MEMORY"]]
        for name, (health, page) in answers.items():
            pid = self.pid(name)
            memory = "" if pid is None else megabytes(memory_bytes(pid))
            rows.append([name, MEMBERS[name], health, self.owned(name, page), lag(page, ends), memory])
        return rows

    def owned(self, name: str, page: dict | None) -> str:
        """What a process holds, from its own page."""
        role = MEMBERS[name]
        if page is None or not page["roles"]:
            return ""
        if role == "proxy":
            return f"clients at {self.address(name)}"
        if role.endswith("coord"):
            return "leads" if role in page["leads"] else "stands by"
        if role == "indexnode":
            return many(page["builds"], "build")
        channels = [channel for channel in page["channels"] if channel["sequenced"] == (role == "datanode")]
        shards = many(len({shard for channel in channels for shard in channel["shards"]}), "shard")
        failed = f", {len(page['failed'])} out of service" if page["failed"] else ""
        numbers = sorted(int(channel["name"].rpartition("_")[2]) for channel in channels)
        listed = f" ({ranges(numbers)})" if numbers else ""
        return f"{many(len(channels), 'channel')}{listed}, {shards}{failed}"


def lag(page: dict | None, ends: dict[str, int]) -> str:
    """Of a reader: records that were acknowledged and that it hasn't applied. Of a sequencer: what a takeover reads again."""
    channels = (page or {"channels": []})["channels"]
    if not channels:
        return ""
    behind = sum(max(0, ends.get(channel["name"], 0) - channel["applied"]) for channel in channels if not channel["sequenced"])
    to_flush = sum(channel["log_bytes"] for channel in channels if channel["sequenced"])
    parts = [many(behind, "record")] if any(not channel["sequenced"] for channel in channels) else []
    parts += [f"{megabytes(to_flush)} above checkpoints"] if any(channel["sequenced"] for channel in channels) else []
    return ", ".join(parts)


def many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def ranges(numbers: list[int]) -> str:
    """[0, 1, 2, 5] is 0-2 5."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return " ".join(f"{low}-{high}" if low != high else f"{low}" for low, high in parts)


def megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count < 1e7 else f"{count / 1e6:.0f} MB"


# --- the system ---

def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command's name, the state first; none if there is no such process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def birth(pid: int) -> str | None:
    """The kernel's start time of a live process; a pid that is used again has another one."""
    fields = stat(pid)
    return fields[19] if fields and fields[0] != "Z" else None


def is_stopped(pid: int) -> bool:
    return stat(pid)[:1] == ["T"]


def memory_bytes(pid: int) -> int:
    """Proportional set size; what isn't there any more has none."""
    try:
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024


def send(pid: int, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, what)


def free_ports(count: int):
    """Ports that nobody listens on, below those that the system gives to outgoing connections: above, whoever retries a dead process's port
    can be given that very port and talk to itself."""
    high = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    low, high = 12_000, high if high > 13_000 else 32_768
    for port in random.sample(range(low, high), high - low):
        if count == 0:
            return
        if is_free(port):
            count -= 1
            yield port
    raise Failure("this machine has no free ports")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers bind: what lingers of an old connection takes no port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
            return True
        except OSError:
            return False


# --- the command line ---

@contextlib.contextmanager
def locked(directory: pathlib.Path):
    """One change of a cluster at a time."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.parent / f"{directory.name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def known(names: list[str], every: bool = False) -> list[str]:
    if not names and not every:
        raise Failure(f"which? {' '.join(MEMBERS)}")
    for name in names:
        if name not in MEMBERS:
            raise Failure(f"there is no process {name}, only {' '.join(MEMBERS)}")
    return names or list(MEMBERS)


def opened(directory: pathlib.Path) -> Cluster:
    cluster = Cluster(directory)
    if not cluster.members:
        raise Failure(f"no cluster in {directory}: start one with `./dev cluster up`")
    return cluster


def up(directory: pathlib.Path) -> None:
    began = time.monotonic()
    cluster = Cluster(directory)
    if not cluster.members:
        missing = [name for name in ["ELANUS_BIN", *SERVERS] if not os.environ.get(name)]
        if missing:
            raise Failure(f"the first start needs {', '.join(missing)}: `./dev cluster up` sees to it")
        cluster = Cluster.create(directory, os.environ["ELANUS_BIN"], {name: os.environ[name] for name in SERVERS}, client_port=CLIENT_PORT)
    elif os.environ.get("ELANUS_BIN"):
        # What runs goes on with the old one; what is started anew has what was built last.
        cluster.binary = os.environ["ELANUS_BIN"]
    started = cluster.up()
    print(f"cluster: {len(started)} processes started, all {len(MEMBERS)} are healthy after {time.monotonic() - began:.1f} s; "
          f"clients: {' '.join(cluster.address(name) for name in MEMBERS if MEMBERS[name] == 'proxy')}; logs in {directory}", file=sys.stderr)


def show(cluster: Cluster) -> None:
    rows = cluster.table()
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [cell.rjust(width) if i == len(row) - 1 else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev cluster", description="Elanus as a cluster on loopback.")
    parser.add_argument("command", choices=["up", "down", "status", "kill", "revive", "pause", "resume", "env"])
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(MEMBERS))
    parser.add_argument("--json", action="store_true", help="status for machines")
    arguments = parser.parse_args()
    default = pathlib.Path(tempfile.gettempdir()) / f"elanus-servers-{os.getuid()}"
    directory = pathlib.Path(os.environ.get("ELANUS_SERVERS_DATA") or default).absolute() / "cluster"
    if arguments.command == "status":
        cluster = opened(directory)
        if arguments.json:
            print(json.dumps(cluster.status(), indent=1))
        else:
            show(cluster)
        return
    with locked(directory):
        if arguments.command == "up":
            return up(directory)
        if arguments.command == "down":
            cluster = Cluster(directory)
            cluster.down()
            return cluster.remove()
        cluster = opened(directory)
        if arguments.command == "env":
            print(f"ELANUS_CLUSTER={cluster.address('proxy1')}")
            print(f"ELANUS_CLUSTER_PROXIES={','.join(cluster.address(name) for name in MEMBERS if MEMBERS[name] == 'proxy')}")
        elif arguments.command == "revive":
            cluster.up(known(arguments.names))
        else:
            for name in known(arguments.names):
                {"kill": cluster.kill, "pause": cluster.pause, "resume": cluster.resume}[arguments.command](name)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"cluster: {failure}")
