#!/usr/bin/env python3
"""Prints the records of one `lra bench --json` run over several lengths as Markdown tables, with fitted exponents.

Usage: scaling.py BENCH.json

An exponent is the slope of a least-squares line through the logarithms of n and of the quantity, all lengths weighing the
same. Times of steps are medians.
"""

import json
import math
import sys


def slope(points):
    """Least squares through (log x, log y)."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def main():
    with open(sys.argv[1]) as file:
        results = json.load(file)["results"]
    measured = {}
    for record in results:
        if record["status"] != "measured":
            sys.exit(f"{record['attention']['name']} at {record['sequence_length']}: {record['status']}")
        measured[record["attention"]["name"], record["sequence_length"]] = record
    names = sorted({name for name, _ in measured})
    lengths = sorted({n for _, n in measured})
    mode = "train" if results[0]["speed"]["train_step_ms"] is not None else "infer"

    def table(title, cell, growth=None):
        """One row a mechanism, one column a length, and the exponent of `growth` over the lengths."""
        last = [f" {title.split(': ')[1].split(',')[0]} ~ |"] if growth else []
        print(f"| {title} | " + " | ".join(f"{n:,}" for n in lengths) + " |" + "".join(last))
        print("|---" * (len(lengths) + 1 + len(last)) + "|")
        for name in names:
            cells = [cell(measured[name, n]) for n in lengths]
            if growth:
                cells.append(f"n^{slope([(n, growth(measured[name, n])) for n in lengths]):.2f}")
            print(f"| {name} | " + " | ".join(cells) + " |")
        print()

    def step_s(record):
        return record["speed"][f"{mode}_step_ms"]["p50"] / 1e3

    def arena(record):
        return record["memory"]["peak_arena_bytes"]

    table(f"{mode}: time of a step, ms", lambda r: f"{1e3 * step_s(r):.1f}", step_s)
    table(f"{mode}: steps/s", lambda r: f"{1 / step_s(r):.2f}")
    table(f"{mode}: tokens/s", lambda r: f"{r['sequence_length'] * r['speed']['batch_size'] / step_s(r) / 1e3:.1f} k")
    table(f"{mode}: MFU", lambda r: f"{r['mfu'][mode]:.3f}")
    table(f"{mode}: arenas, MiB", lambda r: f"{arena(r) / 2**20:.1f}", arena)


if __name__ == "__main__":
    main()
