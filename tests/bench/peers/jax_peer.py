"""JAX as a peer: gradients for parity, training and inference steps for timing. See peer.py for the protocol."""

import os
import platform

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jax_model import Classifier, load


class JaxPeer:
    """settings: {"micro": examples at once, "softmax": "library" | "einsum" | "blocked", "devices": into how many the
    batch is split}. XLA takes as many threads as the process may use processors, for any number of devices."""

    def __init__(self, threads):
        if len(os.sched_getaffinity(0)) != threads:
            raise RuntimeError(f"{len(os.sched_getaffinity(0))} processors allowed, {threads} wanted: use taskset")
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_default_matmul_precision", "highest")
        self.threads = threads

    def versions(self):
        return {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "jaxlib": jaxlib.__version__,
            "optax": optax.__version__,
            "numpy": np.__version__,
            "threads": self.threads,
        }

    def load(self, config, weights, vocab_size, num_classes, inputs, pixels, dtype, settings):
        if inputs != 1 or config["model"]["input"] != "tokens" or config["model"]["pooling"] == "mean_padded":
            raise ValueError("this peer classifies one sequence of tokens")
        if dtype != "f32":
            raise ValueError("this peer runs in f32 only")
        jax.clear_caches()
        self.micro = settings.get("micro")
        model = Classifier(config, settings.get("softmax", "library"))
        self.mesh = Mesh(np.array(jax.devices()[: settings.get("devices", 1)]), ("batch",))
        optimizer = make_optimizer(config["train"])
        self.params = self.place(load(weights), P())
        self.state = self.place(optimizer.init(self.params), P())
        gradient_of = jax.grad(model.summed_loss)

        def gradients(params, tokens, mask, labels):
            """Of the mean loss; every argument after params is [parts, micro, ...], the mask may be None."""
            batch = labels.size * self.mesh.size

            def add(total, part):
                return jax.tree.map(jnp.add, total, gradient_of(params, *part)), None

            first = jax.tree.map(lambda array: array[0], (tokens, mask, labels))
            rest = jax.tree.map(lambda array: array[1:], (tokens, mask, labels))
            total, _ = jax.lax.scan(add, gradient_of(params, *first), rest)
            return jax.tree.map(lambda g: jax.lax.psum(g, "batch") / batch, total)

        def infer(params, tokens, mask):
            return jax.lax.map(lambda part: model.logits(params, *part), (tokens, mask))

        split = P("batch")
        self.gradients = self.over_devices(gradients, (P(), split, split, split), P())
        self.infer = self.over_devices(infer, (P(), split, split), split)

        def train(params, state, tokens, labels):
            updates, state = optimizer.update(self.gradients(params, tokens, None, labels), state, params)
            return optax.apply_updates(params, updates), state

        self.train = jax.jit(train, donate_argnums=(0, 1))

    def over_devices(self, function, inputs, outputs):
        shared = jax.shard_map(function, mesh=self.mesh, in_specs=inputs, out_specs=outputs, check_vma=False)
        return jax.jit(shared)

    def place(self, tree, spec):
        return jax.device_put(tree, NamedSharding(self.mesh, spec))

    def parts(self, array):
        """[batch, ...] -> [parts, micro, ...], the parts spread over the devices."""
        if array is None:
            return None
        micro = min(self.micro or len(array), len(array) // self.mesh.size)
        return self.place(array.reshape(-1, micro, *array.shape[1:]), P("batch"))

    def run(self, tokens, mask, labels):
        """Logits, and unless labels are None the gradients of the mean loss by checkpoint name; numpy arrays."""
        tokens, mask = self.parts(tokens.astype(np.int32)), self.parts(mask)
        logits = np.asarray(self.infer(self.params, tokens, mask))
        logits = logits.reshape(-1, logits.shape[-1])
        if labels is None:
            return logits, {}
        by_name = self.gradients(self.params, tokens, mask, self.parts(labels.astype(np.int32)))
        return logits, {name: np.asarray(array) for name, array in by_name.items()}

    def prepare(self, mode, tokens, labels):
        """Returns a function that takes one step and is done when it returns. Compiles."""
        tokens, labels = self.parts(tokens.astype(np.int32)), self.parts(labels.astype(np.int32))
        if mode == "infer":
            step = self.infer.lower(self.params, tokens, None).compile()
            return lambda: step(self.params, tokens, None).block_until_ready()
        step = self.train.lower(self.params, self.state, tokens, labels).compile()

        def train_step():
            self.params, self.state = step(self.params, self.state, tokens, labels)
            jax.block_until_ready((self.params, self.state))

        return train_step


def make_optimizer(train):
    betas = {"b1": train["beta1"], "b2": train["beta2"], "eps": train["epsilon"]}
    clipping = [optax.clip(train["clip_value"])] if train["clip_value"] > 0 else []
    if train["clip_norm"] > 0:
        clipping.append(optax.clip_by_global_norm(train["clip_norm"]))
    if train["optimizer"] == "adamw":
        return optax.chain(*clipping, optax.adamw(train["learning_rate"], weight_decay=train["weight_decay"], **betas))
    decay = [optax.add_decayed_weights(train["weight_decay"])] if train["weight_decay"] > 0 else []
    return optax.chain(*clipping, *decay, optax.adam(train["learning_rate"], **betas))
