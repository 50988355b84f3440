"""The `lra` program as compare.py uses it: runs to take weights from, predictions to agree with, timed steps."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file


@dataclass
class Run:
    """An untrained model: where it lies, and the weights that every contender gets."""

    directory: Path
    weights: Path

    @property
    def config(self):
        return self.directory / "config.json"


class Lra:
    def __init__(self, binary, task, preset, threads, work):
        self.binary, self.task, self.preset, self.threads = str(binary), task, preset, threads
        self.work = Path(work)
        facts = json.loads(self.call("list", "tasks", "--json"))
        known = {fact["name"]: fact for fact in facts}
        if task not in known:
            raise SystemExit(f"compare.py: no task {task}; there are: {', '.join(known)}")
        self.vocab_size, self.num_classes = known[task]["vocab_size"], known[task]["num_classes"]

    def call(self, *arguments):
        command = [self.binary, *map(str, arguments)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise SystemExit(f"compare.py: {' '.join(command)}\nended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def version(self):
        return json.loads(self.call("--version", "--json"))

    def run(self, attention, length):
        """One training step makes the run directory; noise on its weights, so that no bias is 0 and no gain 1."""
        data, out = self.work / "data", self.work / "runs" / f"{attention}-{length}"
        if not data.exists():
            sizes = ("--train", 40, "--validation", 4, "--test", 4)
            self.call("data", "generate", self.task, "--data", data, *sizes, "--quiet")
        small = ("--set", "train.steps=1", "--set", "train.batch_size=2", "--threads", self.threads)
        # fmt: off
        self.call("train", "--task", self.task, "--attention", attention, "--preset", self.preset, "--length", length,
                  "--data", data, "--out", out, "--force", "--json", "--quiet", *small)
        # fmt: on
        (config,) = out.rglob("config.json")
        run = Run(config.parent, out / "weights.safetensors")
        tensors, draw = load_file(run.directory / "checkpoint" / "last.safetensors"), np.random.default_rng(0)
        for name, tensor in tensors.items():
            noise = 0.1 if tensor.ndim == 1 else 0.02
            tensors[name] = (tensor + noise * draw.standard_normal(tensor.shape)).astype(np.float32)
        save_file({name: t for name, t in tensors.items() if not name.startswith("opt/")}, run.weights)
        return run

    def predict(self, run, tokens, labels, logits, gradients, dtype):
        """`labels` and `gradients` may be None."""
        more = [] if gradients is None else ["--labels", labels, "--gradients", gradients]
        # fmt: off
        self.call("predict", run.directory, "--weights", run.weights, "--input", tokens, "--output", logits,
                  "--dtype", dtype, "--threads", self.threads, *more)
        # fmt: on

    def bench(self, attention, length, mode, batch, warmup, steps):
        """One round: a process of its own, timed steps after its warm-up. Returns the record."""
        # fmt: off
        text = self.call("bench", "--task", self.task, "--attention", attention, "--preset", self.preset,
                         "--length", length, "--mode", mode, "--batch", batch, "--threads", self.threads,
                         "--dropout", 0, "--warmup-steps", warmup, "--min-steps", steps, "--min-time-s", 0,
                         "--json", "-")
        # fmt: on
        (record,) = json.loads(text)["results"]
        if record["status"] != "measured":
            raise SystemExit(f"compare.py: lra bench says {record['status']}: {record['notes']}")
        return record

    def sample(self, *case, warmup, steps):
        mode = case[2]
        return self.bench(*case, warmup=warmup, steps=steps)["speed"][f"{mode}_step_samples_ms"]
