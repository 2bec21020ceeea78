"""What a result was measured on."""

import os
import pathlib
import platform


def machine() -> str:
    """Cores, their model, and how busy they were: figures of a busy machine are comparable with each other at most."""
    models = [line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{os.cpu_count()} cores ({(models or [platform.machine()])[0]}), Linux {platform.release()}, load {os.getloadavg()[2]:.1f}"
