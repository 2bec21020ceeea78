"""Servers to measure: Elanus, and Milvus 2.3.5 as its own wheel runs it. Each in a directory of its own, on free ports."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Target:
    """A server that starts, is killed with SIGKILL, and starts again on the same data."""

    name: str

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-"))
        self.port, self.health_port = free_port(), free_port()
        self.data = self.directory / "data"
        self.process: subprocess.Popen | None = None

    def command(self) -> tuple[list[str], dict[str, str]]:
        raise NotImplementedError

    def start(self) -> float:
        """Seconds from exec to ready."""
        command, environment = self.command()
        log = open(self.directory / "log", "ab")
        began = time.monotonic()
        self.process = subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log, cwd=self.data.parent, start_new_session=True)
        while time.monotonic() - began < 180:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {(self.directory / 'log').read_text()[-2000:]}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/healthz", timeout=1) as answer:
                    if answer.status == 200:
                        return time.monotonic() - began
            except OSError:
                pass
            time.sleep(0.005)
        raise RuntimeError(f"{self.name} isn't ready after 180 s")

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def memory_bytes(self) -> int:
        """Proportional set size of the process."""
        rollup = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024

    def cpu_seconds(self) -> float:
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def disk_bytes(self) -> int:
        return sum(entry.stat().st_blocks * 512 for entry in self.data.rglob("*") if entry.is_file())


class Elanus(Target):
    name = "elanus"

    def command(self):
        return ([os.environ["ELANUS_BIN"], "run", "standalone", "--data", str(self.data)],
                {"PROXY_PORT": str(self.port), "METRICS_PORT": str(self.health_port)})


class Milvus(Target):
    """The server inside of the wheel `milvus==2.3.5`; MILVUS_PYTHON is an interpreter that has it.

    The wheel only unpacks it and writes its settings, before any clock runs; the server is then started as the wheel would.
    """

    name = "milvus-2.3.5"

    def __init__(self):
        super().__init__()
        self.base = self.directory / "milvus"
        self.data = self.base / "data"
        program = (
            "import sys, milvus\n"
            "base, port = sys.argv[1:]\n"
            "config = milvus.MilvusServerConfig(data_dir=base, proxy_port=int(port))\n"
            "config.resolve()\n"
            "milvus._initialize_data_files(base)\n")
        subprocess.run([os.environ["MILVUS_PYTHON"], "-c", program, str(self.base), str(self.port)], check=True)

    def command(self):
        binaries = self.base / "bin"
        environment = {
            "DEPLOY_MODE": "STANDALONE", "METRICS_PORT": str(self.health_port), "MILVUS_RUN_DIR": str(self.base / "run"),
            "LD_LIBRARY_PATH": str(binaries)}
        return [str(binaries / "milvus"), "run", "standalone"], environment
