"""Shows that `lra` computes what an independent PyTorch encoder does with the same checkpoint.

For each preset and mechanism: an untrained model (noise on its weights, so that no bias is 0), ragged sequences with
padding, and then the logits and the gradient of every parameter by `lra predict` and by PyTorch, in f32 and in f64. The
encoder is tests/bench/peers/torch_model.py, which shares nothing with `lra` but the file format (docs/checkpoints.md).
README.md in this folder says how to run it and has the outcome.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "bench" / "peers"))

import parity  # noqa: E402
from contenders import Peer  # noqa: E402
from ours import Lra, Run  # noqa: E402

PARTS = (1.0, 0.61, 0.3, 0.004)  # of n: a full sequence, ragged ones, a few tokens


def arguments():
    def words(text):
        return text.split(",")

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lra", required=True, type=Path, help="the built program")
    parser.add_argument("--preset", type=words, default=["small", "paper"])
    parser.add_argument("--attention", type=words, default=["softmax", "linear", "cosformer"])
    parser.add_argument("--task", default="listops")
    parser.add_argument("--length", type=int, default=500)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as `lra train` takes it")
    parser.add_argument("--run", type=Path, help="a run directory of yours instead: the weights of its checkpoint")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="where the outcome goes")
    return parser.parse_args()


def trained_run(directory):
    """A user's run: the best checkpoint where there is one."""
    files = [directory / "checkpoint" / f"{name}.safetensors" for name in ("best", "last")]
    found = next((file for file in files if file.exists()), None)
    if found is None:
        raise SystemExit(f"check.py: {directory} has no checkpoint: none of {', '.join(map(str, files))} exists")
    return Run(directory, found)


def main():
    flags = arguments()
    outcome = []
    with tempfile.TemporaryDirectory(prefix="lra-parity-") as work:
        peer = Peer("torch", "torch", flags.threads)

        def check(lra, run, preset, attention, length, directory):
            lengths = [max(1, round(part * length)) for part in PARTS]
            batch = parity.write_batch(directory, lengths, length, lra.vocab_size, lra.num_classes, lra.inputs)
            for dtype in ("f32", "f64"):
                found = parity.compare(lra, peer, run, {}, dtype, batch, directory, masked=True)
                outcome.append({"task": lra.task, "preset": preset, "attention": attention, "length": length, "dtype": dtype, **found})
                print(
                    f"{preset:<6} {attention:<10} {dtype}  logits {found['logits']:.1e}  "
                    f"gradients {found['gradients']:.1e} ({found['tensor']})",
                    flush=True,
                )

        try:
            if flags.run:
                config = json.loads((flags.run / "config.json").read_text())
                lra = Lra(flags.lra, config["task"]["name"], "small", flags.threads, work)
                length = min(flags.length, config["sequence_length"])
                check(lra, trained_run(flags.run), str(flags.run), config["attention"]["name"], length, Path(work))
            for preset in [] if flags.run else flags.preset:
                directory = Path(work) / preset
                directory.mkdir()
                lra = Lra(flags.lra, flags.task, preset, flags.threads, directory)
                for attention in flags.attention:
                    settings = [part for setting in flags.set for part in ("--set", setting)]
                    run = lra.run(attention, flags.length, settings)
                    check(lra, run, preset, attention, flags.length, directory)
        except parity.Disagreement as disagreement:
            raise SystemExit(f"check.py: {disagreement}") from None
        finally:
            if flags.json:
                versions = {"lra": lra.version(), "torch": peer.versions}
                record = {"kind": "parity", "tolerance": parity.TOLERANCE, "versions": versions, "results": outcome}
                flags.json.write_text(json.dumps(record, indent=1) + "\n")
            peer.stop()


if __name__ == "__main__":
    main()
