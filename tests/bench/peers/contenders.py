"""The peers as compare.py sees them: one long-lived process each, and the search for its best setting of a case."""

import json
import math
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# What both libraries gain from: memory that was freed stays with the process instead of being faulted in again.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": str(64 << 20),
    "MALLOC_ARENA_MAX": "1",
}
TRIAL_S = 0.5  # of timed steps of each setting that is tried
LOSING = 1.3  # a setting whose first step takes so many times the best one's is not looked at again


@dataclass(frozen=True)
class Case:
    attention: str
    length: int
    mode: str
    batch: int
    micro_tokens: tuple = ()  # of micro-batches that are tried; empty: all sizes

    def __str__(self):
        return f"{self.attention} n={self.length} {self.mode} batch={self.batch}"


class Peer:
    """A process of peer.py. It sleeps while others are timed."""

    def __init__(self, name, library, threads):
        self.name = name
        variables = KEEP_MEMORY | {
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={threads}",
        }
        command = [sys.executable, str(Path(__file__).with_name("peer.py")), library, str(threads)]
        self.process = subprocess.Popen(
            command, env=os.environ | variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.versions = self.ask("versions")

    def ask(self, what, **arguments):
        self.process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self.process.wait()} in `{what}`")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.name} failed in `{what}`:\n{answer['error']}")
        return answer

    def load(self, run, lra, dtype, settings):
        """The model with the run's weights."""
        # fmt: off
        self.ask("load", config=str(run.config), weights=str(run.weights), vocab_size=lra.vocab_size,
                 num_classes=lra.num_classes, inputs=lra.inputs, pixels=lra.pixels, dtype=dtype, settings=settings)
        # fmt: on

    def prepare(self, case, lra):
        # fmt: off
        self.ask("prepare", mode=case.mode, batch=case.batch, length=case.length, vocab_size=lra.vocab_size,
                 num_classes=lra.num_classes, seed=0)
        # fmt: on

    def sample(self, warmup, steps):
        return self.ask("time", warmup=warmup, steps=steps)["samples_ms"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def search_space(name, case):
    """Where to begin, and which settings to try one after another, each list with the best of those before it."""
    sizes = (case.batch, 8, 4, 2, 1)
    if case.micro_tokens:
        sizes = [max(1, tokens // case.length) for tokens in case.micro_tokens]
    micros = sorted({m for m in sizes if m <= case.batch and case.batch % m == 0}, reverse=True)
    begin = {"micro": 4 if 4 in micros else micros[0]}
    if name == "torch":
        return begin, [("micro", micros)]
    if name == "torch.compile":
        freezing = [("freezing", [True])] if case.mode == "infer" else []
        return begin | {"compile": "default"}, [("micro", micros), *freezing]
    devices = [("devices", [2])] if case.batch % 2 == 0 else []
    if case.attention != "softmax":
        return begin | {"devices": 1}, [*devices, ("micro", micros)]
    forms = ("softmax", ["einsum", "library"])
    return begin | {"softmax": "blocked", "devices": 1}, [*devices, ("micro", micros), forms]


def fits(settings, case, heads, limit_bytes):
    """Whether the four n x n arrays that a softmax written out keeps at once fit."""
    if settings.get("softmax") not in ("einsum", "library"):
        return True
    return 4 * settings["micro"] * settings["devices"] * heads * case.length**2 * 4 < limit_bytes


def find_best_settings(peer, case, run, lra, stillness):
    """Coordinate descent with short undisturbed measurements. Returns the best and what each one tried took."""
    heads = json.loads(run.config.read_text())["model"]["heads"]
    limit_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    tried = []

    def measure(settings):
        peer.load(run, lra, "f32", settings)
        peer.prepare(case, lra)
        peer.sample(warmup=1, steps=0)  # compiles
        best = min((ms for _, ms in tried), default=math.inf)
        samples = stillness.undisturbed(lambda: peer.sample(warmup=1, steps=1))
        if samples[0] < LOSING * best:
            steps = min(100, max(3, math.ceil(TRIAL_S * 1e3 / samples[0])))
            samples = stillness.undisturbed(lambda: peer.sample(warmup=0, steps=steps))
        tried.append((settings, statistics.median(samples)))
        stillness.note(f"  {peer.name} {settings}: {tried[-1][1]:.1f} ms")
        return tried[-1][1]

    best, coordinates = search_space(peer.name, case)
    best_ms = measure(best)
    for key, values in coordinates:
        for settings in [best | {key: value} for value in values]:
            if any(settings == earlier for earlier, _ in tried) or not fits(settings, case, heads, limit_bytes):
                continue
            if (ms := measure(settings)) < best_ms:
                best, best_ms = settings, ms
    return best, [{"settings": settings, "median_ms": round(ms, 3)} for settings, ms in tried]
