#!/usr/bin/env python3
"""Generates images with the settings under which the original Pathfinder program was measured and compares their means.

Usage: compare_statistics.py --lra build/release/lra [--images 20000] [--output results/pathfinder/statistics.json]

Each row: our mean, that of the original program (reference_statistics.json), and their difference in standard errors of
both means together. Exits with 1 where one is 3 or more. statistics_slow_test.cc has the same comparison, and distances.
"""

import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

REFERENCE = pathlib.Path(__file__).with_name("reference_statistics.json")


def pixel_statistics(path, images):
    """Means and deviations of each image's share of zeros and mean pixel, of a .npy file of uint8 tokens."""
    data = path.read_bytes()
    header_bytes = 10 + int.from_bytes(data[8:10], "little")
    size = (len(data) - header_bytes) // images
    each = [data[header_bytes + i * size:header_bytes + (i + 1) * size] for i in range(images)]
    shares = [pixels.count(0) / size for pixels in each]
    means = [sum(pixels) / size for pixels in each]
    return {"zero_pixel_share": (statistics.fmean(shares), statistics.stdev(shares)),
            "mean_pixel": (statistics.fmean(means), statistics.stdev(means))}


def deviation_of_counts(counts):
    """Of a number that `counts[n]` images have n of."""
    total = sum(counts)
    mean = sum(n * count for n, count in enumerate(counts)) / total
    return math.sqrt(sum(count * (n - mean) ** 2 for n, count in enumerate(counts)) / (total - 1))


def measure(lra, setting, images, seed):
    """Our (mean, deviation from image to image) by name, and the share of label 1."""
    task = setting["task"]
    with tempfile.TemporaryDirectory() as data:
        command = [lra, "data", "generate", task, "--data", data, "--seed", str(seed), "--train", str(images),
                   "--validation", "0", "--test", "0", "--quiet"]
        for key, value in setting["parameters"].items():
            command += ["--set", f"task.{key}={value}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        directory = pathlib.Path(data) / task
        source = json.loads((directory / "dataset.json").read_text())["source"]
        ours = pixel_statistics(directory / "train.tokens.npy", images)
        for name in ("attempts", "attempts_past_seeding"):  # until one succeeds: a geometric distribution
            ours[name] = (source[name] / images, source[name] / images)
        if "images_of_distractors" in setting:
            ours["distractors"] = (source["distractors"] / images, deviation_of_counts(setting["images_of_distractors"]))
        labels = (directory / "train.labels.npy").read_bytes()[-images:]
        return ours, sum(labels) / images


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lra", required=True)
    parser.add_argument("--images", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output")
    arguments = parser.parse_args()
    results = []
    worst = 0.0
    for setting in json.loads(REFERENCE.read_text())["settings"]:
        reference_images = setting["reference_images"]
        ours, ones = measure(arguments.lra, setting, arguments.images, arguments.seed)
        row = {"task": setting["task"], "parameters": setting["parameters"], "images": arguments.images,
               "label1_share": round(ones, 5),
               "label1_standard_errors": round((ones - 0.5) / (0.5 / math.sqrt(arguments.images)), 2),
               "reference_images": reference_images, "means": {}}
        print(f"{setting['task']} {setting['parameters'] or ''}: {arguments.images} images against {reference_images}")
        for name, mean in setting["means"].items():
            if name not in ours:
                continue
            error = ours[name][1] * math.sqrt(1 / arguments.images + 1 / reference_images)
            away = (ours[name][0] - mean) / error
            worst = max(worst, abs(away))
            row["means"][name] = {"ours": round(ours[name][0], 5), "reference": mean, "standard_errors": round(away, 2)}
            print(f"  {name:<22} {ours[name][0]:>11.4f} {mean:>11.4f} {away:>+7.2f} standard errors")
        results.append(row)
    if arguments.output:
        path = pathlib.Path(arguments.output)
        path.parent.mkdir(parents=True, exist_ok=True)
        command = (f"tests/tasks/pathfinder/compare_statistics.py --lra build/release/lra --images {arguments.images} "
                   f"--seed {arguments.seed}")
        path.write_text(json.dumps({"command": command, "settings": results}, indent=1) + "\n")
    print(f"largest difference: {worst:.2f} standard errors")
    return 0 if worst < 3 else 1


if __name__ == "__main__":
    sys.exit(main())
