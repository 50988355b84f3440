"""Times `lra` beside PyTorch and JAX on the same model and weights, after showing that all compute the same.

See README.md. Standard output gets the table, standard error the progress; --json the record of everything.
"""

import argparse
import json
import math
import os
import platform
import random
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import parity
from contenders import KEEP_MEMORY, LOSING, Case, Peer, find_best_settings
from ours import Lra
from stillness import MOST_FOREIGN, Stillness

LIBRARIES = {"torch": "torch", "torch.compile": "torch", "jax": "jax"}
PARITY_LENGTHS = (1.0, 0.61, 0.3, 0.004)  # of n: a full sequence, ragged ones, a few tokens


def note(text):
    print(text, file=sys.stderr, flush=True)


def arguments():
    def numbers(text):
        return [int(part) for part in text.split(",")]

    def words(text):
        return text.split(",")

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lra", required=True, type=Path, help="the built program")
    parser.add_argument("--attention", type=words, default=["softmax", "linear", "cosformer"])
    parser.add_argument("--length", type=numbers, default=[1024, 2048, 4096])
    parser.add_argument("--mode", type=words, default=["train", "infer"])
    parser.add_argument("--batch", type=numbers, default=[32])
    parser.add_argument(
        "--micro-tokens",
        type=numbers,
        default=[],
        help="try only micro-batches of so many tokens (one sequence at least) instead of all sizes",
    )
    parser.add_argument("--peers", type=words, default=list(LIBRARIES), help=f"of {','.join(LIBRARIES)}")
    parser.add_argument("--task", default="listops")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="each times every contender once, in a new order")
    parser.add_argument("--round-s", type=float, default=2.0, help="seconds of timed steps in a round, about")
    parser.add_argument("--patience-s", type=float, default=600, help="how long to wait for a still machine")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--json", type=Path, help="where the record goes; written after each case")
    parser.add_argument("--parity-only", action="store_true")
    parser.add_argument(
        "--quick", action="store_true", help="n = 256, batch 8, two short rounds: does everything work?"
    )
    flags = parser.parse_args()
    if unknown := set(flags.peers) - LIBRARIES.keys():
        parser.error(f"no peer {', '.join(sorted(unknown))}; there are {', '.join(LIBRARIES)}")
    if unknown := set(flags.mode) - {"train", "infer"}:
        parser.error(f"no mode {', '.join(sorted(unknown))}; there are train, infer")
    if flags.quick:
        flags.length, flags.batch, flags.rounds, flags.round_s = [256], [8], 2, 0.5
    return flags


def check_parity(lra, peers, run, length, directory):
    """Ragged sequences with a mask, default settings; PyTorch in f64, too."""
    lengths = [max(1, round(part * length)) for part in PARITY_LENGTHS]
    batch = parity.write_batch(directory, lengths, length, lra.vocab_size, lra.num_classes)
    results = []
    for name, peer in peers.items():
        settings = {"compile": "default"} if name == "torch.compile" else {}
        for dtype in ("f32", "f64") if name == "torch" else ("f32",):
            found = parity.compare(lra, peer, run, settings, dtype, batch, directory, masked=True)
            worst = f"{found['gradients']:.1e} ({found['tensor']})"
            note(f"  {name} {dtype}: logits {found['logits']:.1e}, gradients {worst}")
            results.append({"peer": name, "dtype": dtype, "length": length, **found})
    return results


def check_settings(lra, peer, run, case, settings, directory):
    """The very code that is timed: these settings, full sequences, no mask."""
    examples = max(2, settings["micro"] * settings.get("devices", 1))
    batch = parity.write_batch(directory, [case.length] * examples, case.length, lra.vocab_size, lra.num_classes)
    train = case.mode == "train"
    return parity.compare(lra, peer, run, settings, "f32", batch, directory, masked=False, gradients=train)


def time_rounds(lra, contenders, case, flags, steps, stillness):
    """samples_ms[contender][round], every contender once a round in a shuffled order."""

    def sample(name):
        if name == "lra":
            return lra.sample(case.attention, case.length, case.mode, case.batch, warmup=2, steps=steps[name])
        return contenders[name].sample(warmup=2, steps=steps[name])

    samples = {name: [] for name in contenders}
    order = random.Random(f"{flags.seed} {case}")
    for index in range(flags.rounds):
        names = list(contenders)
        order.shuffle(names)
        for name in names:
            samples[name].append(stillness.undisturbed(lambda: sample(name)))
        medians = {name: statistics.median(samples[name][-1]) for name in contenders}
        note(f"  round {index + 1}: " + ", ".join(f"{name} {ms:.1f} ms" for name, ms in medians.items()))
    return samples


def measure(lra, peers, run, case, flags, directory, stillness):
    """One case: the best settings of each peer, parity with them, rounds. Returns its results, one a contender."""
    note(f"{case}: settings")
    first = lra.sample(case.attention, case.length, case.mode, case.batch, warmup=2, steps=3)
    typical_ms, chosen, tried, agreed = {"lra": statistics.median(first)}, {}, {}, {}
    for name, peer in peers.items():
        chosen[name], tried[name] = find_best_settings(peer, case, run, lra, stillness)
        typical_ms[name] = min(attempt["median_ms"] for attempt in tried[name])
        agreed[name] = check_settings(lra, peer, run, case, chosen[name], directory)
        peer.load(run, lra, "f32", chosen[name])
        peer.prepare(case, lra)
        peer.sample(warmup=1, steps=0)
    note(f"{case}: rounds")
    steps = {name: min(200, max(2, math.ceil(flags.round_s * 1e3 / ms))) for name, ms in typical_ms.items()}
    samples = time_rounds(lra, {"lra": lra, **peers}, case, flags, steps, stillness)
    ours = [statistics.median(a_round) for a_round in samples["lra"]]
    results = []
    for name, rounds in samples.items():
        ratios = [statistics.median(a_round) / our for a_round, our in zip(rounds, ours)]
        results.append(
            {
                "attention": case.attention,
                "length": case.length,
                "mode": case.mode,
                "batch": case.batch,
                "contender": name,
                "settings": chosen.get(name),
                "median_ms": statistics.median(sample for a_round in rounds for sample in a_round),
                "ratio_to_lra": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
                "parity_f32": agreed.get(name),
                "samples_ms": rounds,
                "settings_tried": tried.get(name),
            }
        )
    return results


def table(results):
    """One line a case: our step, and each peer's with its ratio to ours (range over the rounds)."""
    names = list(dict.fromkeys(result["contender"] for result in results if result["contender"] != "lra"))
    cases = {}
    for result in results:
        key = (result["attention"], result["length"], result["mode"], result["batch"])
        cases.setdefault(key, {})[result["contender"]] = result
    head = f"{'attention':<10} {'n':>5} {'mode':<5} {'batch':>5} {'lra ms':>9}"
    lines = [head + "".join(f" | {name + ' ms':>16} {'ratio':>6} {'range':>13}  micro" for name in names)]
    for (attention, length, mode, batch), by_name in cases.items():
        line = f"{attention:<10} {length:>5} {mode:<5} {batch:>5} {by_name['lra']['median_ms']:>9.1f}"
        for name in names:
            peer = by_name[name]
            ratio = peer["ratio_to_lra"]
            span = f"{ratio['min']:.2f}-{ratio['max']:.2f}"
            line += f" | {peer['median_ms']:>16.1f} {ratio['median']:>5.2f}x {span:>13}  {peer['settings']['micro']:>5}"
        lines.append(line)
    return "\n".join(lines)


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    flags = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # peers are stopped, files removed
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < flags.threads:
        raise SystemExit(f"compare.py: --threads {flags.threads}, but {len(allowed)} processors are allowed")
    os.sched_setaffinity(0, allowed[: flags.threads])  # every contender inherits it
    record = {
        "kind": "peers",
        "command": " ".join(sys.argv),
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "preset": flags.preset,
        "task": flags.task,
        "threads": flags.threads,
        "dropout": 0,
        "environment": {
            "cpu": cpu_name(),
            "processors": allowed[: flags.threads],
            "load_average_before": os.getloadavg(),
            "peer_variables": KEEP_MEMORY,
        },
        "rules": {
            "tolerance": parity.TOLERANCE,
            "losing_setting": LOSING,
            "most_foreign": MOST_FOREIGN,
            "rounds": flags.rounds,
        },
        "parity": [],
        "results": [],
    }

    def save():
        if flags.json:
            partial = flags.json.with_suffix(".partial")
            partial.write_text(json.dumps(record, indent=1) + "\n")
            partial.replace(flags.json)

    peers = {}
    with tempfile.TemporaryDirectory(prefix="lra-peers-") as work:
        directory = Path(work)
        lra = Lra(flags.lra, flags.task, flags.preset, flags.threads, directory)
        try:
            for name in flags.peers:
                peers[name] = Peer(name, LIBRARIES[name], flags.threads)
            record["environment"]["versions"] = {"lra": lra.version()} | {n: p.versions for n, p in peers.items()}
            runs = {(a, n): lra.run(a, n) for a in flags.attention for n in flags.length}
            for attention in flags.attention:
                note(f"{attention}: parity")
                found = check_parity(lra, peers, runs[attention, flags.length[0]], flags.length[0], directory)
                record["parity"] += [{"attention": attention, **entry} for entry in found]
            save()
            cases = [
                Case(a, n, m, b, tuple(flags.micro_tokens))
                for b in flags.batch
                for m in flags.mode
                for a in flags.attention
                for n in flags.length
            ]
            stillness = Stillness([peer.process.pid for peer in peers.values()], flags.patience_s, note)
            for case in [] if flags.parity_only else cases:
                run = runs[case.attention, case.length]
                record["results"] += measure(lra, peers, run, case, flags, directory, stillness)
                record["discarded_measurements"] = stillness.discarded
                save()
        except parity.Disagreement as disagreement:
            raise SystemExit(f"compare.py: nothing is timed: {disagreement}") from None
        finally:
            for peer in peers.values():
                peer.stop()
    if record["results"]:
        print(table(record["results"]))


if __name__ == "__main__":
    main()
