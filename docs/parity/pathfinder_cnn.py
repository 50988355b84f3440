"""Shows that hard Pathfinder, as `lra` generates it, can be learnt by following contours, and hardly without.

A small residual network learns `pathfinder32_hard` and is asked about other images of the generator and, with
--reference, about images that the original program drew. Beside it: what the histogram of the pixels and the distance
between the discs tell of the label, on the same images (pathfinder_shortcuts.py).

The network begins with contours of two paddles (`task.contour_length=2`), which it learns in a few hundred steps, and goes
on to longer ones whenever it is right often enough; it is asked about hard images only. Every length has images of its own
seed, none of those it is asked about is among them, and there is no augmentation. README.md in this folder says how to run
it and has the outcome.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import pathfinder_shortcuts as shortcuts

TASK = "pathfinder32_hard"
SIZE = 32
REPORT_STEPS = 100
CURVE = ["step", "contour_length", "loss", "accuracy"]


def arguments():
    def words(text):
        return text.split(",")

    def lengths(text):
        return [int(word) for word in words(text)]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lra", required=True, type=Path, help="the built program")
    parser.add_argument("--rendering", type=words, default=["original"], help="original, release, or both with a comma; a network each")
    parser.add_argument("--train", type=int, default=240000, help="hard images to learn from; repeated when they are used up")
    parser.add_argument("--test", type=int, default=20000, help="hard images to be asked about")
    parser.add_argument("--warm-up", type=int, default=60000, metavar="IMAGES", help="images of each shorter length")
    parser.add_argument("--lengths", type=lengths, default=[2, 4, 6, 9], help="paddles of a contour before the hard 14")
    parser.add_argument("--enough", type=float, default=0.8, help="accuracy at which longer contours follow")
    parser.add_argument("--reference", type=Path, help="directory or archive with images of the original program")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--blocks", type=int, nargs=2, default=[3, 6], metavar="N", help="at 16 x 16 and at 8 x 8")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32", help="of the convolutions")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1, help="of the images and the network")
    parser.add_argument("--json", type=Path, help="where the outcome goes")
    flags = parser.parse_args()
    unknown = set(flags.rendering) - {"original", "release"}
    if unknown:
        parser.error(f"--rendering: `{', '.join(sorted(unknown))}` is neither original nor release")
    if min(flags.train, flags.warm_up) < flags.batch:
        parser.error(f"--batch: {flags.batch} images are more than --train or --warm-up has")
    return flags


def run(lra, *words):
    """Runs a command of `lra`; its own message tells what went wrong."""
    outcome = subprocess.run([lra, "data", *map(str, words), "--quiet"], check=False, stdout=subprocess.DEVNULL)
    if outcome.returncode:
        raise SystemExit(f"pathfinder_cnn.py: `lra data {shlex.join(map(str, words))}` failed")


def exported(lra, data, split):
    """Images [count, 32, 32] of uint8 and labels [count] of a prepared data set."""
    output = data / f"exported_{split}.npy"
    run(lra, "export", TASK, "--data", data, "--split", split, "--format", "npy", "--output", output)
    images = np.load(output).reshape(-1, SIZE, SIZE)
    return images, np.load(output.with_suffix(".labels.npy")).astype(np.int64)


def generated(lra, work, rendering, train, test, seed, length=None):
    """The train and the test images of a new data set; contours of `length` paddles where it is given."""
    with tempfile.TemporaryDirectory(dir=work) as directory:
        words = ["generate", TASK, "--data", directory, "--train", train, "--validation", 0, "--test", test]
        words += ["--seed", seed, "--threads", 1, "--set", f"task.render={rendering}"]
        run(lra, *words, *(["--set", f"task.contour_length={length}"] if length else []))
        return [exported(lra, Path(directory), split) for split, count in (("train", train), ("test", test)) if count]


def imported(lra, work, place):
    """All hard images of the original program in a directory or an archive, whatever split they are dealt to."""
    data = Path(work) / "reference"
    run(lra, "import", TASK, "--from", place, "--data", data)
    parts = [exported(lra, data, split) for split in ("train", "validation", "test")]
    return tuple(np.concatenate(column) for column in zip(*parts))


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a short cut; adds nothing at first."""

    def __init__(self, channels):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        nn.init.zeros_(self.convolutions[-1].weight)

    def forward(self, x):
        return functional.relu(x + self.convolutions(x))


def halved(channels_in, channels, kernel):
    """A convolution to half the side."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel, stride=2, padding=kernel // 2 - 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class Network(nn.Module):
    """[batch, 1, 32, 32] to two logits: blocks at 16 x 16, which see single paddles, then blocks at 8 x 8, whose convolutions
    reach further than a contour of 14 paddles is long (about 56 pixels)."""

    def __init__(self, channels, fine_blocks, coarse_blocks):
        super().__init__()
        self.body = nn.Sequential(
            halved(1, channels, 6),
            *[Block(channels) for _ in range(fine_blocks)],
            halved(channels, 2 * channels, 4),
            *[Block(2 * channels) for _ in range(coarse_blocks)],
        )
        self.head = nn.Linear(4 * channels, 2)

    def forward(self, x):
        y = self.body(x)
        return self.head(torch.cat([y.mean((2, 3)), y.amax((2, 3))], 1))


class Solver:
    """A network, its training, and what it answers."""

    def __init__(self, flags):
        torch.manual_seed(flags.seed)
        self.flags = flags
        self.network = Network(flags.channels, *flags.blocks).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), flags.learning_rate, weight_decay=0.01)

    def logits(self, images):
        pixels = torch.from_numpy(images.astype(np.float32) / 64 - 0.5).unsqueeze(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.flags.precision == "bf16"):
            outcome = self.network(pixels.to(memory_format=torch.channels_last))
        return outcome.float()

    def rate(self, step):
        """Rises over 200 steps and falls to 0 over the last 30 %."""
        remaining = (self.flags.steps - step) / (0.3 * self.flags.steps)
        return self.flags.learning_rate * min(1, (step + 1) / 200, remaining)

    def step(self, number, images, labels):
        """Loss and share of right answers, before the weights change."""
        self.optimizer.param_groups[0]["lr"] = self.rate(number)
        logits = self.logits(images)
        truth = torch.from_numpy(labels)
        loss = functional.cross_entropy(logits, truth)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        return loss.item(), (logits.argmax(1) == truth).float().mean().item()

    def learn(self, courses):
        """Learns from the courses, (length, (images, labels)), in turn; the last one lasts.

        Returns the curve, rows of CURVE; loss and accuracy are means over the batches since the row before.
        """
        curve, recent = [], []
        course, used, average = 0, 0, 0.5
        for number in range(self.flags.steps):
            length, (images, labels) = courses[course]
            start = used % (len(labels) - self.flags.batch + 1)
            part = slice(start, start + self.flags.batch)
            recent.append(self.step(number, images[part], labels[part]))
            used += self.flags.batch
            average += 0.02 * (recent[-1][1] - average)
            done = average > self.flags.enough and course + 1 < len(courses)
            if done or (number + 1) % REPORT_STEPS == 0 or number + 1 == self.flags.steps:
                loss, right = np.mean(recent, 0)
                curve.append([number + 1, length, round(loss, 4), round(right, 4)])
                print(f"step {number + 1:>6}  contours of {length:>2}  loss {loss:.4f}  accuracy {right:.4f}", flush=True)
                recent = []
            if done:
                course, used, average = course + 1, 0, 0.5
        return curve

    def right(self, images, labels):
        """How many labels it tells."""
        self.network.eval()
        with torch.no_grad():
            answers = [self.logits(images[i : i + 500]).argmax(1).numpy() for i in range(0, len(images), 500)]
        return int((np.concatenate(answers) == labels).sum())


def check(flags, work, rendering, reference):
    """Generates, learns and judges with one rendering; the record of it."""
    courses = []
    for number, length in enumerate(flags.lengths, 1):  # each with a seed of its own: the contours of a seed begin alike
        (shorter,) = generated(flags.lra, work, rendering, flags.warm_up, 0, flags.seed + number, length)
        courses.append((length, shorter))
    train, test = generated(flags.lra, work, rendering, flags.train, flags.test, flags.seed)
    courses.append((14, train))

    outcome = {"rendering": rendering}
    outcome["shortcuts"] = shortcuts.judge(train, test, reference)
    if rendering == "original":
        means = outcome["shortcuts"]["marker_distance"]["generated_means"]
        outcome["shortcuts"]["marker_distance"]["against_program"] = shortcuts.against_program(means)
    tell("shortcuts", outcome["shortcuts"])

    solver = Solver(flags)
    outcome["parameters"] = sum(part.numel() for part in solver.network.parameters())
    begun = time.process_time()
    outcome["curve"] = {"columns": CURVE, "rows": solver.learn(courses)}
    outcome["training_cpu_s"] = round(time.process_time() - begun)
    outcome["network"] = {"generated": shortcuts.accuracy(solver.right(*test), len(test[1]))}
    if reference:
        outcome["network"]["reference"] = shortcuts.accuracy(solver.right(*reference), len(reference[1]))
    tell("network", {"network": outcome["network"]})
    return outcome


def tell(title, judged):
    """A line for each share of right answers."""
    for name, group in judged.items():
        for images, found in group.items():
            line = f"{title:<10} {name:<16} {images:<26} "
            if isinstance(found, dict) and "interval_95" in found:
                low, high = found["interval_95"]
                print(f"{line}{100 * found['accuracy']:5.1f} %  ({100 * low:.1f} to {100 * high:.1f})", flush=True)
            elif isinstance(found, dict) and "mean" in found:
                least, most = min(found["accuracies"]), max(found["accuracies"])
                print(f"{line}{100 * found['mean']:5.1f} %  ({100 * least:.1f} to {100 * most:.1f} of classifiers)", flush=True)


def command(flags):
    """The command as typed, of absolute paths only the names: they tell of a machine."""
    words = sys.argv[1:]
    for place in (flags.lra, flags.reference, flags.json):
        if place and place.is_absolute():
            words = [word.replace(str(place), place.name) for word in words]
    return "docs/parity/pathfinder_cnn.py " + shlex.join(words)


def write(record, path):
    """As JSON, with a line for each row of numbers."""
    text = json.dumps(record, indent=1)
    path.write_text(re.sub(r"\[\s+([-\d.,\s]+?)\s+\]", lambda found: "[" + " ".join(found[1].split()) + "]", text) + "\n")


def main():
    flags = arguments()
    torch.set_num_threads(flags.threads)
    version = subprocess.run([flags.lra, "--version"], check=True, capture_output=True, text=True).stdout.split("\n")[0]
    record = {"kind": "pathfinder_cnn", "command": command(flags), "versions": {"lra": version, "torch": torch.__version__}, "results": []}
    with tempfile.TemporaryDirectory(prefix="lra-pathfinder-") as work:
        reference = imported(flags.lra, work, flags.reference) if flags.reference else None
        for rendering in flags.rendering:
            print(f"rendering {rendering}")
            record["results"].append(check(flags, work, rendering, reference))
            if flags.json:
                write(record, flags.json)


if __name__ == "__main__":
    main()
