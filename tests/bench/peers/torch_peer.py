"""PyTorch as a peer: gradients for parity, training and inference steps for timing. See peer.py for the protocol."""

import platform

import torch
import torch.nn.functional as F

from torch_model import Classifier

DTYPES = {"f32": torch.float32, "f64": torch.float64}


class TorchPeer:
    """settings: {"micro": examples at once, "compile": None | a mode of torch.compile, "freezing": constant weights in
    compiled inference}."""

    def __init__(self, threads):
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        torch.set_flush_denormal(True)
        torch.backends.mkldnn.enabled = True
        torch.set_float32_matmul_precision("highest")
        self.model = self.optimizer = None

    def versions(self):
        import numpy

        lines = torch.__config__.show().splitlines()
        return {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "libraries": [line.strip(" -") for line in lines if "Math Kernel" in line or "MKL-DNN" in line],
            "isa": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(),
        }

    def load(self, config, weights, vocab_size, num_classes, inputs, pixels, dtype, settings):
        torch._dynamo.reset()
        torch._inductor.config.freezing = bool(settings.get("freezing"))
        self.settings, self.dtype = settings, DTYPES[dtype]
        self.model = Classifier(config, vocab_size, num_classes, inputs, pixels).to(self.dtype)
        self.model.load(weights)
        self.forward, self.loss = self.model, self.summed_loss
        if mode := settings.get("compile"):
            options = {"dynamic": False, "fullgraph": True, "mode": mode}
            self.forward, self.loss = torch.compile(self.model, **options), torch.compile(self.summed_loss, **options)
        self.optimizer = self.make_optimizer(config["train"])
        self.clip_value, self.clip_norm = config["train"]["clip_value"], config["train"]["clip_norm"]

    def make_optimizer(self, train):
        kind = torch.optim.AdamW if train["optimizer"] == "adamw" else torch.optim.Adam
        return kind(
            self.model.parameters(),
            lr=train["learning_rate"],
            betas=(train["beta1"], train["beta2"]),
            eps=train["epsilon"],
            weight_decay=train["weight_decay"],
            fused=True,
        )

    def summed_loss(self, tokens, mask, labels):
        return F.cross_entropy(self.model(tokens, mask), labels, reduction="sum")

    def chunks(self, tokens, mask, labels=None):
        micro = self.settings.get("micro") or len(tokens)
        for begin in range(0, len(tokens), micro):
            part = slice(begin, begin + micro)
            yield tokens[part], None if mask is None else mask[part], None if labels is None else labels[part]

    def backward(self, tokens, mask, labels):
        """Gradients of the mean loss into .grad, a micro-batch at a time."""
        self.optimizer.zero_grad(set_to_none=True)
        for part in self.chunks(tokens, mask, labels):
            (self.loss(*part) / len(tokens)).backward()

    def train_step(self, tokens, labels):
        self.model.train()
        self.backward(tokens, None, labels)
        if self.clip_value > 0:
            torch.nn.utils.clip_grad_value_(self.model.parameters(), self.clip_value)
        if self.clip_norm > 0:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()

    def infer_step(self, tokens, mask=None):
        self.model.eval()
        # Freezing takes no_grad: compiled code may not be traced from inference tensors.
        with torch.no_grad() if self.settings.get("freezing") else torch.inference_mode():
            return torch.cat([self.forward(part, some) for part, some, _ in self.chunks(tokens, mask)])

    def run(self, tokens, mask, labels):
        """Logits, and unless labels are None the gradients of the mean loss by checkpoint name; numpy arrays."""
        tokens = torch.from_numpy(tokens)
        mask = None if mask is None else torch.from_numpy(mask).to(self.dtype)
        logits = self.infer_step(tokens, mask).numpy()
        if labels is None:
            return logits, {}
        self.model.train()
        self.backward(tokens, mask, torch.from_numpy(labels))
        return logits, self.model.gradients()

    def prepare(self, mode, tokens, labels):
        """Returns a function that takes one step and is done when it returns."""
        tokens, labels = torch.from_numpy(tokens), torch.from_numpy(labels)
        if mode == "train":
            return lambda: self.train_step(tokens, labels)
        return lambda: self.infer_step(tokens)
