"""A real server for SDK tests: the binary named by ELANUS_BIN on free ports and a directory of its own.

`Server.kill` is SIGKILL, as a crash is; `Server.start` after it goes on from the same directory. Nothing here knows an SDK. `fixture` is what a
test calls that runs against a cluster as well (`_cluster.py`).
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

READY_SECONDS_MAX = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_cluster() -> bool:
    return os.environ.get("ELANUS_FIXTURE") == "cluster"


def fixture(environment: dict[str, str] | None = None, config: str | None = None):
    """What ELANUS_FIXTURE asks for, started: a standalone server, or a cluster."""
    if not is_cluster():
        return Server(environment, config)
    from _cluster import ClusterServer
    assert config is None, "a cluster writes its own settings"
    return ClusterServer(environment)


class Server:
    """One standalone server: over a directory of its own, or over the storage that `config`, the text of a milvus.yaml, names."""

    # What a collection is loaded with.
    replicas = 1

    def __init__(self, environment: dict[str, str] | None = None, config: str | None = None):
        self.directory = tempfile.mkdtemp(prefix="elanus-sdk-")
        self.environment = environment or {}
        data = os.path.join(self.directory, "data")
        self.arguments = ["--data", data]
        if config is not None:
            file = os.path.join(self.directory, "milvus.yaml")
            with open(file, "w", encoding="utf-8") as out:
                out.write(f"{config}\nlocalStorage: {{path: '{data}'}}\n")
            self.arguments = ["--config", file]
        self.process: subprocess.Popen | None = None
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Starts the server and returns the seconds until it said that it is ready.

        Each start takes new ports: an SDK that saw the last one die would wait before it tries the same again.
        """
        self.port, self.metrics_port = free_port(), free_port()
        environment = os.environ | {
            "PROXY_PORT": str(self.port),
            "METRICS_PORT": str(self.metrics_port),
        } | self.environment
        log = open(os.path.join(self.directory, "server.log"), "ab")
        began = time.monotonic()
        self.process = subprocess.Popen(
            [os.environ["ELANUS_BIN"], "run", "standalone", *self.arguments],
            env=environment, stdout=log, stderr=log)
        while time.monotonic() - began < READY_SECONDS_MAX:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log()}")
            if self.healthy():
                return time.monotonic() - began
            time.sleep(0.005)
        raise RuntimeError(f"the server isn't ready after {READY_SECONDS_MAX} s:\n{self.log()}")

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/healthz", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def runs(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> int:
        """Asks for a graceful stop and returns the exit status."""
        self.process.terminate()
        return self.process.wait(timeout=30)

    def close(self) -> None:
        """Ends the server if it runs, and removes its directory."""
        if self.runs():
            self.kill()
        shutil.rmtree(self.directory)

    def log(self) -> str:
        return self.whole_log()[-8000:]

    def whole_log(self) -> str:
        with open(os.path.join(self.directory, "server.log"), encoding="utf-8", errors="replace") as file:
            return file.read()
