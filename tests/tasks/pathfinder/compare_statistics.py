#!/usr/bin/env python3
"""Generates images with the settings under which the original Pathfinder program was measured and compares their means.

Usage: compare_statistics.py --lra build/release/lra [--images 20000] [--output results/pathfinder/statistics.json]

Each row: our mean, that of the original program, and their difference in standard errors (of both means together).
The reference is drewlinsley/pathfinder at ab9c130 run unchanged (Python 3.11, Pillow 9.4, OpenCV 4.6).
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile

# Task, parameters, images of the original program, and its means with their deviations from image to image. The
# deviations of counts whose histogram was not kept are those of a geometric distribution.
ORIGINAL = {"render": "original"}
SETTINGS = [
    ("pathfinder32_easy", ORIGINAL, 2000,
     {"attempts": (22.1, 22.1), "attempts_past_seeding": (1.8, 1.3), "distractors": (3.249, 1.41),
      "zero_pixel_share": (0.7729, 0.0326), "mean_pixel": (12.96, 1.72)}),
    ("pathfinder32_intermediate", ORIGINAL, 2000,
     {"attempts": (64.7, 64.7), "attempts_past_seeding": (5.3, 5.0), "distractors": (1.832, 1.05),
      "zero_pixel_share": (0.7325, 0.0368), "mean_pixel": (15.51, 1.96)}),
    ("pathfinder32_hard", ORIGINAL, 2040,
     {"attempts": (319.0, 319.0), "attempts_past_seeding": (26.7, 26.7), "distractors": (1.184, 0.937),
      "zero_pixel_share": (0.6574, 0.0385), "mean_pixel": (20.24, 2.04)}),
    ("pathfinder32_hard", {"render": "original", "border": "relaxed"}, 186,
     {"attempts": (28.0, 28.0), "attempts_past_seeding": (28.0, 28.0), "distractors": (4.618, 0.585),
      "zero_pixel_share": (0.5500, 0.0277), "mean_pixel": (27.79, 1.82)}),
    ("pathfinder64_hard", {"render": "original", "num_distractor_snakes": "5"}, 73,
     {"attempts": (4054.3, 4054.3), "attempts_past_seeding": (1071.1, 1071.1), "distractors": (2.616, 1.04),
      "zero_pixel_share": (0.7395, 0.0291), "mean_pixel": (13.40, 1.43)}),
    ("pathfinder128_hard", {"render": "original", "num_distractor_snakes": "8"}, 109,
     {"attempts": (437.4, 600.0), "attempts_past_seeding": (436.9, 600.0), "distractors": (7.688, 0.52),
      "zero_pixel_share": (0.8632, 0.0051), "mean_pixel": (7.89, 0.29)}),
    ("pathfinder256_hard", ORIGINAL, 60,
     {"attempts": (8.0, 8.0), "attempts_past_seeding": (8.0, 8.0), "distractors": (6.983, 0.13),
      "zero_pixel_share": (0.9612, 0.0011), "mean_pixel": (2.95, 0.05)}),
    # The release rendering: the original program's geometry with its drawing in floats, and the published images.
    ("pathfinder32_hard", {}, 103,
     {"attempts": (258.9, 258.9), "distractors": (1.4, 0.95), "zero_pixel_share": (0.636, 0.04),
      "mean_pixel": (18.98, 1.73)}),
    ("pathfinder64_hard", {}, 8, {"zero_pixel_share": (0.7336, 0.0173), "mean_pixel": (16.15, 1.27)}),
    ("pathfinder128_hard", {}, 8, {"zero_pixel_share": (0.8389, 0.0123), "mean_pixel": (9.43, 0.85)}),
]


def pixel_means(path, images):
    """Mean share of zeros and mean pixel of the images in a .npy file of uint8 tokens."""
    data = path.read_bytes()
    header_bytes = 10 + int.from_bytes(data[8:10], "little")
    pixels = memoryview(data)[header_bytes:]
    size = len(pixels) // images
    zeros = sum(bytes(pixels[i * size:(i + 1) * size]).count(0) for i in range(images))
    return zeros / len(pixels), sum(pixels) / len(pixels)


def measure(lra, task, parameters, images, seed):
    with tempfile.TemporaryDirectory() as data:
        command = [lra, "data", "generate", task, "--data", data, "--seed", str(seed), "--train", str(images),
                   "--validation", "0", "--test", "0", "--quiet"]
        for key, value in parameters.items():
            command += ["--set", f"task.{key}={value}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        directory = pathlib.Path(data) / task
        source = json.loads((directory / "dataset.json").read_text())["source"]
        means = {name: source[name] / images for name in ("attempts", "attempts_past_seeding", "distractors")}
        means["zero_pixel_share"], means["mean_pixel"] = pixel_means(directory / "train.tokens.npy", images)
        labels = (directory / "train.labels.npy").read_bytes()[-images:]
        return means, sum(labels) / images


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lra", required=True)
    parser.add_argument("--images", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output")
    arguments = parser.parse_args()
    results = []
    worst = 0.0
    for task, parameters, reference_images, reference in SETTINGS:
        ours, ones = measure(arguments.lra, task, parameters, arguments.images, arguments.seed)
        row = {"task": task, "parameters": parameters, "images": arguments.images,
               "label1_share": round(ones, 5),
               "label1_standard_errors": round((ones - 0.5) / (0.5 / math.sqrt(arguments.images)), 2),
               "reference_images": reference_images, "means": {}}
        print(f"{task} {parameters or ''}: {arguments.images} images against {reference_images}")
        for name, (mean, deviation) in reference.items():
            error = deviation * math.sqrt(1 / arguments.images + 1 / reference_images)
            away = (ours[name] - mean) / error
            worst = max(worst, abs(away))
            row["means"][name] = {"ours": round(ours[name], 5), "reference": mean, "standard_errors": round(away, 2)}
            print(f"  {name:<22} {ours[name]:>11.4f} {mean:>11.4f} {away:>+7.2f} standard errors")
        results.append(row)
    if arguments.output:
        path = pathlib.Path(arguments.output)
        path.parent.mkdir(parents=True, exist_ok=True)
        command = (f"tests/tasks/pathfinder/compare_statistics.py --lra build/release/lra --images {arguments.images} "
                   f"--seed {arguments.seed}")
        path.write_text(json.dumps({"command": command, "settings": results}, indent=1) + "\n")
    print(f"largest difference: {worst:.2f} standard errors")
    return 0 if worst < 4 else 1


if __name__ == "__main__":
    sys.exit(main())
