#!/usr/bin/env python3
"""Kills `lra` with SIGKILL at random instants, starts it again, and compares the end with that of undisturbed runs.

Four kinds of kills:
  train       at any instant of a training that saves a checkpoint after every step, then --resume
  checkpoint  while a checkpoint's temporary file exists, then --resume
  generate    at any instant of `lra data generate`, with and without --force over an earlier dataset, then once more
  import      likewise of `lra data import`

Trainings must end with the same tensors, states, records and logged events, all but times bit for bit; datasets with
the same files. Nothing may be left over. Exit code 1 when anything differs; what differs is kept and named.

Example: tests/crash/campaign.py --lra build/release/lra --kills 60 --seed 1 --json results/robustness/crash-campaign.json
"""

import argparse
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIMINGS = ("speed", "mfu", "memory", "wall_s", "threads", "environment")
EXIT_USAGE = 2  # what is refused because it is there already
STEPS = 40


class Difference(Exception):
    """What two ends that should be equal do not have in common."""


# ---- what must be equal


def tensors_and_metadata(path):
    """The data bytes and the metadata of a checkpoint, without the seconds it took and the hash that covers them."""
    raw = path.read_bytes()
    (header_bytes,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + header_bytes])
    metadata = header.pop("__metadata__")
    metadata.pop("sha256")
    if "state" in metadata:
        state = json.loads(metadata["state"])
        state.pop("wall_s")
        metadata["state"] = state
    return header, metadata, raw[8 + header_bytes :]


def events(path):
    parsed = [json.loads(line) for line in path.read_text().splitlines()]
    for event in parsed:
        event.pop("ts_ms")
    return parsed


def record(path):
    return {key: value for key, value in json.loads(path.read_text()).items() if key not in TIMINGS}


def comparable(path):
    """The content of a file of a run or a dataset without what may differ between equal runs."""
    if path.suffix == ".safetensors":
        return tensors_and_metadata(path)
    if path.name == "metrics.jsonl":
        return events(path)
    if path.name == "result.json":
        return record(path)
    if path.name.endswith(".lock") or path.name == ".lock":
        return None
    return path.read_bytes()


def require_equal_trees(expected, found):
    def names(root):
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    if names(expected) != names(found):
        raise Difference(f"files: {sorted(set(names(expected)) ^ set(names(found)))}")
    for name in names(expected):
        if comparable(expected / name) != comparable(found / name):
            raise Difference(name)


# ---- one kind of kill each


class Kind:
    """What is started, what must hold right after a kill, and how it is brought to its end."""

    def __init__(self, lra, place, rng):
        self.lra, self.place, self.rng = lra, place, rng
        self.counts = {"kills": 0, "inside": 0, "resumed": 0, "equal": 0}
        self.seconds = 0.0  # of an undisturbed run

    def call(self, arguments, allowed=(0,)):
        done = subprocess.run([self.lra, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode not in allowed:
            raise Difference(f"exit code {done.returncode} of {' '.join(arguments)}: {done.stderr.strip()[-400:]}")
        return done.returncode

    def prepare(self):
        """Makes the undisturbed end, and measures how long it takes."""
        start = time.monotonic()
        self.call(self.command(self.place / "undisturbed"))
        self.seconds = time.monotonic() - start

    def wait_for_the_instant(self, _process, _target):
        time.sleep(self.rng.uniform(0, self.seconds))

    def kill_once(self, target):
        """Starts, kills, and counts; returns whether the kill came before the end."""
        process = subprocess.Popen(
            [self.lra, *self.command(target)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.wait_for_the_instant(process, target)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.counts["kills"] += 1
        if process.returncode == -signal.SIGKILL:
            self.counts["inside"] += 1
            return True
        return False

    def trial(self, target):
        for _ in range(self.rng.randint(1, 3)):
            inside = self.kill_once(target)
            self.check_after_kill(target)
            if not inside:
                break
            self.counts["resumed"] += 1
        self.complete(target)
        require_equal_trees(self.place / "undisturbed", target)

    def run(self, wanted):
        """Trials until `wanted` kills came before the end; returns the differences."""
        failures = []
        while self.counts["inside"] < wanted and not failures:
            before = self.counts["resumed"]
            target = self.place / f"trial{self.counts['kills']}"
            try:
                self.trial(target)
                self.counts["equal"] += self.counts["resumed"] - before
                shutil.rmtree(target)
            except Difference as difference:
                failures.append(f"{target}: {difference}")
        return failures


class Train(Kind):
    name = "train"

    def __init__(self, lra, place, rng, data):
        super().__init__(lra, place, rng)
        self.data = data

    def command(self, target):
        threads = str(self.rng.randint(1, 3))
        settings = [f"train.steps={STEPS}", "train.eval_every=5", "train.checkpoint_every=1", "train.log_every=2"]
        return (
            ["train", "--task", "listops", "--attention", "cosformer", "--preset", "tiny", "--length", "100"]
            + ["--data", str(self.data), "--out", str(target), "--threads", threads, "--resume"]
            + [part for setting in settings for part in ("--set", setting)]
        )

    def check_after_kill(self, target):
        for path in target.rglob("*.json"):
            json.loads(path.read_text())  # whole, or not there
        for path in target.rglob("*.safetensors"):
            tensors_and_metadata(path)

    def complete(self, target):
        self.call(self.command(target))


class Checkpoint(Train):
    name = "checkpoint"

    def wait_for_the_instant(self, process, target):
        """Returns while the temporary file of a checkpoint exists: the first, or one of those that follow."""
        to_pass = self.rng.randint(0, STEPS - 10)
        seen = set()
        while process.poll() is None:
            for directory in target.glob("*/*/*/*/*/checkpoint"):
                names = [name for name in os.listdir(directory) if ".tmp-" in name and name not in seen]
                seen.update(names)
                if names and len(seen) > to_pass:
                    time.sleep(self.rng.choice([0, 0, 0.0002, 0.001, 0.003]))
                    return

    def check_after_kill(self, target):
        super().check_after_kill(target)
        left = [path for path in target.rglob("*.tmp-*")]
        self.counts["temporary_left"] = self.counts.get("temporary_left", 0) + (1 if left else 0)


class Data(Kind):
    """Makes a dataset; with `over` an earlier one is replaced, and at every instant there is one or the other, whole."""

    def prepare(self):
        super().prepare()
        self.earlier = self.place / "earlier"
        self.call(self.command(self.earlier, other=True))
        self.over = False

    def trial(self, target):
        self.over = self.rng.random() < 0.5
        if self.over:
            shutil.copytree(self.earlier, target)
        super().trial(target)

    def flags(self, target):
        return ["--data", str(target)] + (["--force"] if target.exists() and self.over else [])

    def check_after_kill(self, target):
        if self.over:
            self.call(["data", "verify", "listops", "--data", str(target)])
        elif (target / "listops").exists():
            require_equal_trees(self.place / "undisturbed" / "listops", target / "listops")

    def complete(self, target):
        self.call(self.command(target), allowed=(0,) if self.over else (0, EXIT_USAGE))


class Generate(Data):
    name = "generate"

    def command(self, target, other=False):
        return (
            ["data", "generate", "listops", "--seed", "2" if other else "1", "--threads", str(self.rng.randint(1, 3))]
            + ["--train", "6000", "--validation", "500", "--test", "500", "--set", "task.min_length=50"]
            + ["--set", "task.max_length=400"]
            + (["--data", str(target)] if other else self.flags(target))
        )

    over = False


class Import(Data):
    name = "import"
    over = False

    def __init__(self, lra, place, rng):
        super().__init__(lra, place, rng)
        self.sources = []
        for seed in ("3", "4"):
            data, source = place / f"data{seed}", place / f"official{seed}"
            source.mkdir()
            self.call(
                ["data", "generate", "listops", "--data", str(data), "--seed", seed, "--train", "6000"]
                + ["--validation", "500", "--test", "500", "--set", "task.min_length=50"]
                + ["--set", "task.max_length=400"]
            )
            for split, file in (("train", "train"), ("validation", "val"), ("test", "test")):
                self.call(
                    ["data", "export", "listops", "--data", str(data), "--split", split, "--format", "tsv"]
                    + ["--output", str(source / f"basic_{file}.tsv")]
                )
            self.sources.append(source)

    def command(self, target, other=False):
        return ["data", "import", "listops", "--from", str(self.sources[1 if other else 0])] + (
            ["--data", str(target)] if other else self.flags(target)
        )


# ---- the campaign


def make_kinds(lra, work, seed):
    data = work / "data"
    subprocess.run(
        [lra, "data", "generate", "listops", "--data", str(data), "--train", "200", "--validation", "40"]
        + ["--test", "50", "--set", "task.min_length=20", "--set", "task.max_length=100"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for kind in (Train, Checkpoint, Generate, Import):
        place = work / kind.name
        place.mkdir()
        rng = random.Random(f"{seed} {kind.name}")
        yield kind(lra, place, rng, data) if issubclass(kind, Train) else kind(lra, place, rng)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lra", required=True, help="the program")
    parser.add_argument("--kills", type=int, default=50, help="of each kind, before the end of the process [50]")
    parser.add_argument("--seed", type=int, default=1, help="of the instants [1]")
    parser.add_argument("--json", type=Path, help="write the summary here")
    options = parser.parse_args()
    lra = str(Path(options.lra).resolve())

    work = Path(tempfile.mkdtemp(prefix="lra-crash-"))
    rows, failures = [], []
    print(f"{'kind':<12}{'kills':>7}{'inside':>8}{'resumed':>9}{'equal':>7}  temporary left")
    for kind in make_kinds(lra, work, options.seed):
        kind.prepare()
        failures += kind.run(options.kills)
        counts = kind.counts
        rows.append({"kind": kind.name, **counts})
        print(
            f"{kind.name:<12}{counts['kills']:>7}{counts['inside']:>8}{counts['resumed']:>9}{counts['equal']:>7}"
            f"  {counts.get('temporary_left', '')}",
            flush=True,
        )
    if options.json:
        version = subprocess.run([lra, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
        summary = {
            "command": f"tests/crash/campaign.py --lra {options.lra} --kills {options.kills} --seed {options.seed}",
            "version": version,
            "rows": rows,
            "failures": len(failures),
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(summary, indent=2) + "\n")
    for failure in failures:
        print(f"DIFFERENT: {failure}", file=sys.stderr)
    if failures:
        return 1
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
