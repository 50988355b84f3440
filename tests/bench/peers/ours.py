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


def make_up(task, directory):
    """Published files of a task without a generator: a few examples of random content."""
    draw = np.random.default_rng(3)
    if task == "text":
        for split in ("train", "test"):
            for rating, folder in ((2, "neg"), (9, "pos")):
                place = directory / "aclImdb" / split / folder
                place.mkdir(parents=True)
                for i in range(20):
                    (place / f"{i}_{rating}.txt").write_bytes(bytes(draw.integers(97, 123, 40)))
    elif task == "retrieval":
        place = directory / "tsv_data"
        place.mkdir(parents=True)
        for split in ("train", "eval", "test"):
            rows = (bytes(draw.integers(97, 123, 80)) for _ in range(20))
            lines = [b"%d.0\ta\tb\t%s\t%s\n" % (i % 2, row[:40], row[40:]) for i, row in enumerate(rows)]
            (place / f"new_aan_pairs.{split}.tsv").write_bytes(b"".join(lines))
    elif task == "image":
        place = directory / "cifar-10-batches-bin"
        place.mkdir(parents=True)
        for name in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
            records = draw.integers(0, 256, (10, 3073), dtype=np.uint8)
            records[:, 0] = np.arange(10)
            (place / name).write_bytes(records.tobytes())
    else:
        raise SystemExit(f"check.py: {task} has no generator, and nothing here makes its files up")


class Lra:
    def __init__(self, binary, task, preset, threads, work):
        self.binary, self.task, self.preset, self.threads = str(binary), task, preset, threads
        self.work = Path(work)
        facts = json.loads(self.call("list", "tasks", "--json"))
        known = {fact["name"]: fact for fact in facts}
        if task not in known:
            raise SystemExit(f"compare.py: no task {task}; there are: {', '.join(known)}")
        self.facts = known[task]
        self.vocab_size, self.num_classes = self.facts["vocab_size"], self.facts["num_classes"]
        self.inputs, self.pixels = self.facts["inputs_per_example"], self.facts["image"]

    def call(self, *arguments):
        command = [self.binary, *map(str, arguments)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise SystemExit(f"compare.py: {' '.join(command)}\nended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def version(self):
        return json.loads(self.call("--version", "--json"))

    def prepare_data(self, data):
        """A few examples, generated or made up in the published layout."""
        if self.facts["supports_generate"]:
            sizes = ("--train", 40, "--validation", 4, "--test", 4)
            self.call("data", "generate", self.task, "--data", data, *sizes)
            return
        source = self.work / "source"
        make_up(self.task, source)
        self.call("data", "import", self.task, "--from", source, "--data", data)

    def run(self, attention, length, settings=()):
        """One training step makes the run directory; noise on its weights, so that no bias is 0 and no gain 1."""
        data, out = self.work / "data", self.work / "runs" / f"{attention}-{length}"
        if not data.exists():
            self.prepare_data(data)
        small = ("--set", "train.steps=1", "--set", "train.batch_size=2", "--threads", self.threads)
        # fmt: off
        self.call("train", "--task", self.task, "--attention", attention, "--preset", self.preset, "--length", length,
                  "--data", data, "--out", out, "--force", "--json", "--quiet", *small, *settings)
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
