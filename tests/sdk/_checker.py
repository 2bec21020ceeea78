"""What a client knows of rows from the answers it got, and whether what it reads agrees: no row missing, back from the dead, or there twice.

Each key holds a version; a deleted one holds version 0. A change that got no answer may be there or not, and may take effect later than changes
after it that went another way: it stays possible until the cluster has settled.
"""


class Wrong(AssertionError):
    """What was read can't be."""


class Checker:
    """What each key may hold: a set of versions. One element where the last answer was clear. One thread changes, others read."""

    def __init__(self):
        self.may: dict[int, set[int]] = {}
        # Versions without an answer since the last settlement.
        self.open: dict[int, set[int]] = {}
        # Everything that was ever begun, in order: what came beside a read counts for it.
        self.begun: list[dict[int, int]] = []
        self.version = 0
        self.acknowledged = 0

    def next(self) -> int:
        self.version += 1
        return self.version

    def holds(self, key: int) -> set[int]:
        return self.may.get(key, {0})

    def is_absent(self, key: int) -> bool:
        return self.holds(key) == {0}

    def begin(self, wanted: dict[int, int]) -> None:
        """Before a change is sent."""
        self.begun.append(wanted)
        for key, version in wanted.items():
            self.may[key] = self.holds(key) | {version}

    def acknowledge(self, wanted: dict[int, int]) -> None:
        """It was answered: it is there from now on."""
        self.acknowledged += 1
        for key, version in wanted.items():
            self.may[key] = {version} | self.open.get(key, set())

    def doubt(self, wanted: dict[int, int]) -> None:
        """It got no answer, or one that leaves it open."""
        for key, version in wanted.items():
            self.open[key] = self.open.get(key, set()) | {version}

    def settled(self, rows: list[dict]) -> None:
        """All rows, read when nothing is on its way any more: what they hold is what is there."""
        found = self.check({key: set(versions) for key, versions in self.may.items()}, rows)
        for key in set(self.may) | set(found):
            self.may[key] = {found.get(key, [0])[0]}
        self.open.clear()
        self.begun.clear()

    def look(self) -> tuple[dict[int, set[int]], int]:
        """What may be there as a read begins."""
        # In this order: what begins between the two lines counts as begun beside the read.
        since = len(self.begun)
        return {key: set(versions) for key, versions in list(self.may.items())}, since

    def saw(self, look: tuple[dict[int, set[int]], int], rows: list[dict]) -> None:
        """All rows as a read found them that began at `look`, beside changes."""
        may, since = look
        for wanted in self.begun[since:]:
            for key, version in wanted.items():
                may.setdefault(key, {0}).add(version)
        self.check(may, rows)

    @staticmethod
    def check(may: dict[int, set[int]], rows: list[dict]) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for row in rows:
            found.setdefault(row["id"], []).append(row["version"])
        problems = []
        for key in set(found) | set(may):
            versions, allowed = found.get(key, []), may.get(key, {0})
            if len(versions) > 1:
                problems.append(f"key {key} is there {len(versions)} times: {versions}, allowed {sorted(allowed)}")
            elif (versions or [0])[0] not in allowed:
                problems.append(f"key {key} holds {versions or 'nothing'}, allowed {sorted(allowed)}")
        if problems:
            raise Wrong(f"{len(problems)} keys are wrong: " + "; ".join(problems[:5]))
        return found
