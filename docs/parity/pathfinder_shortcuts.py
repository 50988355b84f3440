"""What tells the label of a Pathfinder image without following a contour: classifiers for pathfinder_cnn.py.

Images are [count, size, size] of uint8, labels [count] of 0 and 1. Only NumPy is needed.
"""

import math

import numpy as np

MARKER_RADIUS = 1.5  # pixels, of 32 x 32 images
PART = 20000  # images that a shortcut is fitted on
# Marker distances of 2,040 images of the original program at 32 pixels, hard, `original` rendering, from its own
# coordinates: label: (images, mean in pixels).
PROGRAM_DISTANCES = {0: (991, 12.79), 1: (1049, 13.00)}


def accuracy(right, count):
    """Share of right answers with its 95 % interval (Wilson)."""
    z = 1.959964
    share = right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    interval = [round(middle - reach, 4), round(middle + reach, 4)]
    return {"right": int(right), "of": int(count), "accuracy": round(share, 4), "interval_95": interval}


def histograms(images, bins):
    """[count, bins]: the share of each image's pixels in each of `bins` equal ranges of 0..255."""
    flat = images.reshape(len(images), -1)
    counts = np.zeros((len(flat), 256))
    for start in range(0, len(flat), 4096):
        part = flat[start : start + 4096].astype(np.int64)
        offsets = 256 * np.arange(len(part))[:, None]
        counts[start : start + len(part)] = np.bincount((part + offsets).ravel(), minlength=256 * len(part)).reshape(-1, 256)
    return counts.reshape(len(flat), bins, 256 // bins).sum(2) / flat.shape[1]


class LogisticRegression:
    """On standardised features, with a ridge penalty of `ridge` / 2 times the squared weights; Newton's method."""

    def __init__(self, features, labels, ridge=1.0, iterations=12):
        self.mean = features.mean(0)
        self.deviation = features.std(0)
        self.deviation[self.deviation == 0] = 1
        inputs = self._inputs(features)
        penalty = np.full(inputs.shape[1], ridge)
        penalty[-1] = 1e-9  # the constant
        self.weights = np.zeros(inputs.shape[1])
        for _ in range(iterations):
            chance = 1 / (1 + np.exp(-np.clip(inputs @ self.weights, -30, 30)))
            gradient = inputs.T @ (chance - labels) + penalty * self.weights
            curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + np.diag(penalty)
            self.weights -= np.linalg.solve(curvature, gradient)

    def _inputs(self, features):
        standard = np.clip((features - self.mean) / self.deviation, -10, 10)
        return np.hstack([standard, np.ones((len(features), 1))])

    def right(self, features, labels):
        """How many labels it tells."""
        return int(((self._inputs(features) @ self.weights > 0) == labels).sum())


def cross_validated(features, labels, folds=10, seed=0):
    """How many labels logistic regressions tell, each fitted on the images outside the fold it is asked about."""
    fold = np.empty(len(labels), dtype=int)
    draw = np.random.default_rng(seed)
    for label in (0, 1):  # the labels in equal shares, or the majority of the rest would tell the fold's minority
        members = draw.permutation(np.flatnonzero(labels == label))
        fold[members] = np.arange(len(members)) % folds
    right = 0
    for number in range(folds):
        rest = fold != number
        right += LogisticRegression(features[rest], labels[rest]).right(features[~rest], labels[~rest])
    return right


def find_markers(images):
    """[count, 4]: row and column of the two brightest 3 x 3 squares whose centres are not neighbours."""
    size = images.shape[1]
    padded = np.pad(images.astype(np.int32), ((0, 0), (1, 1), (1, 1)))
    sums = sum(padded[:, y : y + size, x : x + size] for y in range(3) for x in range(3))
    first = sums.reshape(len(images), -1).argmax(1)
    rows, columns = np.mgrid[:size, :size]
    near = np.maximum(abs(rows - (first // size)[:, None, None]), abs(columns - (first % size)[:, None, None])) <= 1
    second = np.where(near, -1, sums).reshape(len(images), -1).argmax(1)
    return np.stack([first // size, first % size, second // size, second % size], 1)


def marker_distances(images):
    """[count], pixels."""
    found = np.concatenate([find_markers(images[i : i + 4096]) for i in range(0, len(images), 4096)])
    return np.hypot(found[:, 0] - found[:, 2], found[:, 1] - found[:, 3])


class Stump:
    """One answer above a threshold, the other one up to it: the threshold that is right most often."""

    def __init__(self, values, labels):
        order = np.argsort(values, kind="stable")
        values, labels = values[order], labels[order]
        ends = np.append(values[1:] != values[:-1], True)
        right = np.cumsum(labels == 0) + (labels == 1).sum() - np.cumsum(labels == 1)  # when 1 is above
        score = np.where(ends, np.maximum(right, len(labels) - right), -1)
        best = int(score.argmax())
        self.threshold = float(values[best])
        self.above = int(2 * right[best] >= len(labels))

    def right(self, values, labels):
        return int((np.where(values > self.threshold, self.above, 1 - self.above) == labels).sum())


def distance_means(distances, labels):
    """For each label: images, mean and standard error; and the difference of the means, label 1 less label 0."""
    means = {}
    for label in (0, 1):
        part = distances[labels == label]
        means[f"label_{label}"] = {
            "images": len(part),
            "mean_pixels": round(float(part.mean()), 3),
            "standard_error": round(float(part.std(ddof=1) / math.sqrt(len(part))), 3),
        }
    means["difference"] = difference(means["label_0"], means["label_1"])
    return means


def difference(first, second):
    """The second mean less the first, with its standard error."""
    return {
        "pixels": round(second["mean_pixels"] - first["mean_pixels"], 3),
        "standard_error": round(math.hypot(first["standard_error"], second["standard_error"]), 3),
    }


def against_program(ours):
    """Our means beside the original program's; its deviations, which were not kept, are taken to be ours."""
    program = {}
    for label, (images, mean) in PROGRAM_DISTANCES.items():
        mine = ours[f"label_{label}"]
        deviation = mine["standard_error"] * math.sqrt(mine["images"])
        program[f"label_{label}"] = {"images": images, "mean_pixels": mean, "standard_error": round(deviation / math.sqrt(images), 3)}
    program["difference"] = difference(program["label_0"], program["label_1"])
    away = {}
    for name, key in (("label_0", "mean_pixels"), ("label_1", "mean_pixels"), ("difference", "pixels")):
        error = math.hypot(ours[name]["standard_error"], program[name]["standard_error"])
        away[name] = round((ours[name][key] - program[name][key]) / error, 2)
    return {"program": program, "ours_less_program_in_standard_errors": away}


def judge_histogram(bins, train, test, reference):
    """What logistic regressions tell, one for each PART of the training images: they differ by what is chance in them."""
    shares = {"generated": histograms(test[0], bins)}
    labels = {"generated": test[1]}
    if reference:
        shares["reference"], labels["reference"] = histograms(reference[0], bins), reference[1]
    found = {name: [] for name in shares}
    for start in range(0, max(1, len(train[1]) - PART + 1), PART):
        part = slice(start, start + PART)
        model = LogisticRegression(histograms(train[0][part], bins), train[1][part])
        for name, each in shares.items():
            found[name].append(round(model.right(each, labels[name]) / len(labels[name]), 4))
    told = {}
    for name, each in found.items():
        told[name] = {"of": len(labels[name]), "accuracies": each, "mean": round(float(np.mean(each)), 4)}
    if reference:
        right = cross_validated(shares["reference"], reference[1])
        told["reference_cross_validated"] = accuracy(right, len(reference[1]))
    return told


def judge(train, test, reference):
    """Every shortcut; train, test and reference are (images, labels), reference may be None."""
    told = {f"histogram_{bins}": judge_histogram(bins, train, test, reference) for bins in (256, 16)}
    distances = marker_distances(train[0][:PART])
    stump = Stump(distances, train[1][:PART])
    of_test = marker_distances(test[0])
    labels = np.concatenate([train[1][:PART], test[1]])
    told["marker_distance"] = {
        "threshold_pixels": round(stump.threshold, 2),
        "answer_above": stump.above,
        "generated": accuracy(stump.right(of_test, test[1]), len(test[1])),
        "generated_means": distance_means(np.concatenate([distances, of_test]), labels),
    }
    if reference:
        of_reference = marker_distances(reference[0])
        told["marker_distance"]["reference"] = accuracy(stump.right(of_reference, reference[1]), len(reference[1]))
        told["marker_distance"]["reference_means"] = distance_means(of_reference, reference[1])
    return told
