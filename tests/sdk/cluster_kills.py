"""A cluster under writers and readers while its processes are killed and stopped: nothing acknowledged is lost, doubled or resurrected, no answer lacks
a row, and everything goes on.

    ELANUS_BIN=… ELANUS_TEST_ETCD=… … python cluster_kills.py        20 kills and a stop of each role
    ELANUS_LONG=1 for 100 kills and three stops of each role, with a table in bench/results/; ELANUS_SEED=N to repeat the order

Each role is killed in turn (of a coordinator the leader), then whichever comes; it is started again once everything works without it, or at once where
nobody else has its role. A stop is SIGSTOP for longer than sessions and offices last, then SIGCONT: what comes back believes that it is what
it was. How long something was away is the longest time between two answers to a call that is repeated all along.
"""
# sdk: pymilvus-3.0.2
# fixture: cluster

import os
import pathlib
import random
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))

import _cluster
from _checker import Wrong
from _load import Load
from _machine import machine
from cluster import COUNTS, MEMBERS, ROLES, Cluster

LONG = os.environ.get("ELANUS_LONG") == "1"
KILLS, STOPS_PER_ROLE = (100, 3) if LONG else (20, 1)
# Sessions and offices last 2 s.
STOP_SECONDS = 4
RECOVERY_SECONDS_MAX = 30
# Between two settlements.
ROUNDS_PER_SETTLEMENT = 5
RESULTS = pathlib.Path(__file__).resolve().parents[2] / "bench/results/cluster_kills.md"


class Disturbances:
    """What was done, and what it cost."""

    def __init__(self, cluster: Cluster, load: Load, seed: int):
        self.cluster, self.load, self.random = cluster, load, random.Random(seed)
        # Role and way: what it cost, each time, by what was away.
        self.costs: dict[tuple[str, str], list[dict[str, float]]] = {}
        self.done = 0

    def one_of(self, role: str) -> str:
        """Who does a role's work: of coordinators the leader, of others any."""
        names = [name for name in MEMBERS if MEMBERS[name] == role]
        deadline = time.monotonic() + RECOVERY_SECONDS_MAX
        while role.endswith("coord"):
            leader = self.cluster.leader(role)
            if leader is not None:
                return leader
            if time.monotonic() > deadline:
                raise Wrong(f"nobody leads {role} after {RECOVERY_SECONDS_MAX} s")
            time.sleep(0.02)
        return self.random.choice(names)

    def kill(self, role: str) -> None:
        name = self.one_of(role)
        since = time.monotonic()
        self.cluster.kill(name)
        if COUNTS[role] == 1:
            self.cluster.launch(name)
        self.await_recovery(name, since)
        self.cluster.up()
        self.note(name, "killed", since)

    def stop(self, role: str) -> None:
        name = self.one_of(role)
        since = time.monotonic()
        self.cluster.pause(name)
        time.sleep(STOP_SECONDS)
        self.cluster.resume(name)
        self.await_recovery(name, time.monotonic())
        self.cluster.up()
        self.note(name, "stopped", since)

    def await_recovery(self, name: str, since: float) -> None:
        try:
            self.load.await_recovery(since, {name}, RECOVERY_SECONDS_MAX)
        except Wrong as error:
            raise Wrong(f"without {name}: {error}") from None

    def note(self, name: str, way: str, since: float) -> None:
        role, until = MEMBERS[name], time.monotonic()
        # The probe of a proxy that is away says nothing of the others.
        there = [probe for probe in self.load.probes if probe.proxy != name]
        def gap(probes) -> float:
            return max(probe.gap(since, until) for probe in probes if probe in there)
        cost = {"writes": gap(self.load.writes), "searches": gap(self.load.searches),
                "failed searches": sum(len(probe.failures(since, until)) for probe in self.load.searches if probe in there)}
        if role in self.load.coordinators:
            cost["coordinator"] = gap([self.load.coordinators[role]])
        self.costs.setdefault((role, way), []).append(cost)
        self.done += 1
        said = ", ".join(f"{what} {value:.2f} s" if what != "failed searches" else f"{value:.0f} failed searches" for what, value in cost.items())
        print(f"{self.done}: {name} {way}: {said}", flush=True)
        for probe in self.load.searches:
            for failure in probe.failures(since, until)[:2] if probe in there else []:
                print(f"    {probe.name}: {failure}", flush=True)
        if self.done % ROUNDS_PER_SETTLEMENT == 0:
            self.load.settle()

    @property
    def failed_searches(self) -> int:
        return sum(int(cost["failed searches"]) for costs in self.costs.values() for cost in costs)

    def table(self) -> str:
        lines = ["| role | | times | writes away, s | searches away, s | failed searches | the coordinator away, s |", "|---|---|---|---|---|---|---|"]
        def cell(costs: list[dict[str, float]], what: str) -> str:
            values = [cost[what] for cost in costs if what in cost]
            return f"{statistics.median(values):.2f}, {max(values):.2f}" if values else ""
        for (role, way), costs in sorted(self.costs.items(), key=lambda item: (item[0][1], ROLES.index(item[0][0]))):
            failed = sum(cost["failed searches"] for cost in costs)
            lines.append(f"| {role} | {way} | {len(costs)} | {cell(costs, 'writes')} | {cell(costs, 'searches')} | {failed:.0f} | {cell(costs, 'coordinator')} |")
        return "\n".join(lines)


def disturb(disturbances: Disturbances) -> None:
    for role in ROLES:
        disturbances.kill(role)
    for _ in range(STOPS_PER_ROLE):
        for role in ROLES:
            disturbances.stop(role)
    for _ in range(KILLS - len(ROLES)):
        disturbances.kill(disturbances.random.choice(ROLES))
    disturbances.load.settle()


def report(disturbances: Disturbances, summary: str, about: str) -> None:
    print(f"\n{disturbances.table()}\n\n{summary}")
    if not LONG:
        return
    text = (
        "# A cluster whose processes are killed and stopped\n\n"
        f"Written by `ELANUS_LONG=1` with `tests/sdk/cluster_kills.py` on {time.strftime('%Y-%m-%d')}, {about}: {machine()}, {len(MEMBERS)} "
        "processes, etcd, Kafka, S3 and the client on the same cores.\n\n"
        "Away is the longest time between two answers to a call that is repeated all along: median, longest. A call in flight on a killed proxy "
        "isn't counted. Killed: SIGKILL, of a coordinator the leader's; started again once everything works. "
        f"Stopped: SIGSTOP for {STOP_SECONDS} s, twice what sessions and offices last, then SIGCONT.\n\n"
        "Aims: writes 3 s, coordinators 3 s, no failed search with two replicas.\n\n"
        f"{disturbances.table()}\n\n{summary}\n")
    RESULTS.write_text(text, encoding="utf-8")


def main() -> None:
    seed = int(os.environ.get("ELANUS_SEED", time.time_ns() % 1_000_000))
    print(f"seed {seed}", flush=True)
    server = _cluster.ClusterServer()
    load = None
    try:
        load = Load(server.cluster, seed, server.replicas)
        load.start()
        disturbances = Disturbances(server.cluster, load, seed)
        disturb(disturbances)
        load.end()
    except BaseException:
        print(f"seed {seed}: failed", file=sys.stderr)
        if load is not None:
            load.ended.set()
        raise
    finally:
        server.close()
    stops = STOPS_PER_ROLE * len(ROLES)
    replicas = f"{server.replicas} replica{'s' * (server.replicas != 1)}"
    report(disturbances, f"{KILLS} kills and {stops} stops, {load.acknowledged} acknowledged writes, {load.reads} reads of all rows beside them: "
           "0 missing, 0 resurrected, 0 duplicated, 0 partial answers.", f"seed {seed}, {replicas}")
    if server.replicas > 1 and disturbances.failed_searches > 0:
        sys.exit(f"{disturbances.failed_searches} searches failed although there are {replicas}")


if __name__ == "__main__":
    main()
