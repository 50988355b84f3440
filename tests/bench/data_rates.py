#!/usr/bin/env python3
"""Times the making of datasets, as a user types it: wall and processor time, resident memory, examples per second.

Usage: data_rates.py --lra build/release/lra --json OUTPUT.json [--text aclImdb] [--image cifar-10-batches-bin]

Generators run on all processors, five times each, medians; imports likewise, from trees on a warm disk. What is written
goes to a temporary directory.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

ROUNDS = 5
GENERATED = [  # task, train examples; none for validation and test
    ("listops", 100_000),
    ("pathfinder32_hard", 20_000),
    ("pathfinder64_hard", 2_000),
    ("pathfinder128_hard", 2_000),
    ("pathfinder256_hard", 2_000),
]


def run(command):
    """Wall and processor seconds, and the largest resident set in bytes, of one command."""
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {child.returncode}: {errors.decode()}")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def measure(lra, arguments, task, examples):
    walls, cpus, residents = [], [], []
    for _ in range(ROUNDS):
        data = tempfile.mkdtemp(prefix="lra-rates-")
        try:
            wall_s, cpu_s, resident_bytes = run([lra, "data", *arguments, "--data", data, "--quiet"])
        finally:
            shutil.rmtree(data)
        walls.append(wall_s)
        cpus.append(cpu_s)
        residents.append(resident_bytes)
    record = {
        "command": " ".join(["lra", "data", *(os.path.basename(a) if os.path.sep in a else a for a in arguments)]),
        "task": task,
        "examples": examples,
        "rounds": ROUNDS,
        "wall_s": round(statistics.median(walls), 3),
        "wall_s_range": [round(min(walls), 3), round(max(walls), 3)],
        "cpu_s": round(statistics.median(cpus), 3),
        "examples_per_s": round(examples / statistics.median(walls), 1),
        "peak_resident_bytes": max(residents),
    }
    print(f"{record['command']}: {record['wall_s']} s, {record['examples_per_s']:,} examples/s, "
          f"{record['peak_resident_bytes'] / 2**20:.0f} MiB resident")
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--lra", required=True)
    parser.add_argument("--json", required=True)
    parser.add_argument("--text", help="the reviews, unpacked")
    parser.add_argument("--image", help="CIFAR-10, unpacked")
    flags = parser.parse_args()
    version = subprocess.run([flags.lra, "--version"], check=True, capture_output=True, text=True).stdout.splitlines()
    records = []
    for task, examples in GENERATED:
        sizes = ["--train", str(examples), "--validation", "0", "--test", "0"]
        records.append(measure(flags.lra, ["generate", task, *sizes], task, examples))
    for task, source, examples in (("text", flags.text, 50_000), ("image", flags.image, 60_000)):
        if source:
            records.append(measure(flags.lra, ["import", task, "--from", source], task, examples))
    with open(flags.json, "w") as file:
        json.dump({"lra": version, "processors": len(os.sched_getaffinity(0)), "results": records}, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main()
