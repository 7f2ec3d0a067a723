"""How long a person waits before anything happens: the help page, a cold engine and a cold embedder.

Every figure is a fresh process's own wall clock, the median of several, with the bare imports of the same
libraries beside it in the same run. Prints one JSON line.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
_STARTER = (
    "from pathlib import Path; from storyloom.generators.weights import pull_starter; "
    f"path = pull_starter(Path({str(ROOT / 'build' / 'models')!r}), lambda done, total: None); "
)
_ENGINE = (
    "from storyloom.generators.llama_cpp import LlamaCppModel; model = LlamaCppModel(path, name='starter'); "
)
_EMBEDDER = "from storyloom.generators.embedder import MiniLMEmbedder; embedder = MiniLMEmbedder(threads=1); "

# Each program prints the seconds that it means, so that starting Python isn't part of them.
PROGRAMS = {
    "import_engine": "import xllamacpp",
    "import_embedder": "import sentence_transformers",
    "engine": _STARTER + _ENGINE + "model.load()",
    "embedder": _EMBEDDER + "embedder.load()",
    "side_by_side": (
        _STARTER + _ENGINE + _EMBEDDER + "import threading; "
        "thread = threading.Thread(target=embedder.load); thread.start(); model.load(); thread.join()"
    ),
}


def seconds(program: str) -> float:
    timed = f"import time; started = time.perf_counter(); {program}; print(time.perf_counter() - started)"
    done = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def help_seconds() -> float:
    command = Path(sys.executable).with_name("storyloom")
    started = time.perf_counter()
    subprocess.run([command, "--help"], capture_output=True, check=True, env=os.environ)
    return time.perf_counter() - started


def bare_python_seconds() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for program in PROGRAMS.values():  # the first run fills the disk cache and fetches the weights
        seconds(program)
    figures: dict[str, list[float]] = {}
    for _ in range(rounds):
        figures.setdefault("help", []).append(help_seconds())
        figures.setdefault("bare_python", []).append(bare_python_seconds())
        for name, program in PROGRAMS.items():
            figures.setdefault(name, []).append(seconds(program))
    told = {f"{name}_seconds": round(median(values), 3) for name, values in figures.items()}
    print(json.dumps({"bench": "startup", "rounds": rounds, **told}))


if __name__ == "__main__":
    main()
