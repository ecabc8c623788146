"""Runs another program's networks, in that program's own Python, for `bench peers`.

This file is started as a script by a Python that has PyTorch and not this package, and
so imports nothing of it. The networks are the peer's own, imported from the user's
checkout; so are NVIDIA's losses. rosinality's losses and both training loops' bodies
are written out here, since there they stand inside functions that need a data set.

The first line on stdin is a JSON object with the settings, every other one the name of
a phase. Each is answered by one JSON object on stdout: ``ready``, ``seconds`` or
``error``. What the peer prints goes to stderr.

A phase includes what the peer's own training loop does in it: drawing latents, the
forward and backward passes, the optimiser's step.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import os
import random
import sys
import time
from typing import Any

# Both programs' defaults (Karras et al. 2020, appendix B).
Z_DIM, MAPPING_LAYERS = 512, 8
R1_GAMMA, PL_WEIGHT, PL_DECAY, PL_SHRINK = 10.0, 2.0, 0.01, 2
G_INTERVAL, D_INTERVAL = 4, 16
MIXING = 0.9
LEARNING_RATE = 0.002
EMA_DECAY = 0.998


def lazy_adam(parameters: Any, interval: int) -> Any:
    """Adam with the correction for lazy regularisation."""
    import torch

    share = interval / (interval + 1)
    return torch.optim.Adam(
        parameters, lr=LEARNING_RATE * share, betas=(0.0, 0.99**share), eps=1e-8
    )


class Rosinality:
    """rosinality/stylegan2-pytorch: ``model.py`` of a checkout."""

    def __init__(self, settings: dict, device: Any):
        import torch

        if device.type == "cpu":
            # Its operators compile CUDA code when they are imported, and take another
            # path on a CPU: nothing is compiled for what is never called.
            import torch.utils.cpp_extension as extension

            extension.load = lambda *args, **kwargs: None
        from model import Discriminator, Generator  # type: ignore[import-not-found]
        from op import conv2d_gradfix  # type: ignore[import-not-found]

        multiplier = settings["channel_base"] // 16384
        size = settings["resolution"]
        self.batch, self.device = settings["batch"], device
        self.g = Generator(
            size, Z_DIM, MAPPING_LAYERS, channel_multiplier=multiplier
        ).to(device)
        self.d = Discriminator(size, channel_multiplier=multiplier).to(device)
        self.ema = copy.deepcopy(self.g).eval()
        self.g_optimiser = lazy_adam(self.g.parameters(), G_INTERVAL)
        self.d_optimiser = lazy_adam(self.d.parameters(), D_INTERVAL)
        self.real = torch.rand(self.batch, 3, size, size, device=device) * 2 - 1
        self.mean_length = torch.zeros((), device=device)
        self.no_weight_gradients = conv2d_gradfix.no_weight_gradients

    def generate(self) -> None:
        """Pictures of the averaged generator, with its own noise."""
        import torch

        with torch.no_grad():
            self.ema([self._z(self.batch)], randomize_noise=False)

    def g_main(self) -> None:
        """The generator's logistic loss."""
        from torch.nn.functional import softplus

        self._train(generator=True)
        fake, _ = self.g(self._latents(self.batch))
        loss = softplus(-self.d(fake)).mean()
        self._update(self.g, self.g_optimiser, loss)

    def g_reg(self) -> None:
        """The path length penalty on half of the batch."""
        import torch

        self._train(generator=True)
        latents = self._latents(max(1, self.batch // PL_SHRINK))
        fake, w = self.g(latents, return_latents=True)
        noise = torch.randn_like(fake) / math.sqrt(fake.shape[2] * fake.shape[3])
        (slope,) = torch.autograd.grad((fake * noise).sum(), w, create_graph=True)
        lengths = slope.square().sum(2).mean(1).sqrt()
        mean = self.mean_length + PL_DECAY * (lengths.mean() - self.mean_length)
        penalty = (lengths - mean).square().mean()
        self.mean_length = mean.detach()
        loss = PL_WEIGHT * G_INTERVAL * penalty + 0 * fake[0, 0, 0, 0]
        self._update(self.g, self.g_optimiser, loss)

    def d_main(self) -> None:
        """The discriminator's logistic loss on fakes and reals."""
        from torch.nn.functional import softplus

        self._train(generator=False)
        fake, _ = self.g(self._latents(self.batch))
        loss = softplus(self.d(fake)).mean() + softplus(-self.d(self.real)).mean()
        self._update(self.d, self.d_optimiser, loss)

    def d_reg(self) -> None:
        """The R1 penalty."""
        import torch

        self._train(generator=False)
        real = self.real.clone().requires_grad_(True)
        logits = self.d(real)
        with self.no_weight_gradients():
            (slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        penalty = slope.square().sum((1, 2, 3)).mean()
        loss = R1_GAMMA / 2 * D_INTERVAL * penalty + 0 * logits[0].sum()
        self._update(self.d, self.d_optimiser, loss)

    def end(self) -> None:
        """Moves the averaged generator."""
        move_average(self.ema, self.g)

    def _train(self, generator: bool) -> None:
        self.g.requires_grad_(generator)
        self.d.requires_grad_(not generator)

    def _update(self, network: Any, optimiser: Any, loss: Any) -> None:
        network.zero_grad()
        loss.backward()
        optimiser.step()

    def _z(self, number: int) -> Any:
        import torch

        return torch.randn(number, Z_DIM, device=self.device)

    def _latents(self, number: int) -> list:
        """Latents of a batch: nine times in ten a second one to mix with."""
        count = 2 if random.random() < MIXING else 1
        return [self._z(number) for _ in range(count)]


class Nvidia:
    """NVlabs/stylegan2-ada-pytorch: its networks and its loss, from a checkout."""

    def __init__(self, settings: dict, device: Any):
        import torch
        from torch_utils.ops import (  # type: ignore[import-not-found]
            conv2d_gradfix,
            grid_sample_gradfix,
        )
        from training.loss import StyleGAN2Loss  # type: ignore[import-not-found]
        from training.networks import (  # type: ignore[import-not-found]
            Discriminator,
            Generator,
        )

        # As its training loop sets them.
        conv2d_gradfix.enabled = grid_sample_gradfix.enabled = True
        low = settings["dtype"] in ("float16", "bfloat16")
        widths = {
            "channel_base": settings["channel_base"],
            "channel_max": 512,
            "num_fp16_res": 4 if low else 0,
            "conv_clamp": 256 if low else None,
        }
        size = settings["resolution"]
        self.batch, self.device = settings["batch"], device
        image = {"c_dim": 0, "img_resolution": size, "img_channels": 3}
        self.g = Generator(
            z_dim=Z_DIM,
            w_dim=512,
            mapping_kwargs={"num_layers": MAPPING_LAYERS},
            synthesis_kwargs=widths,
            **image,
        )
        self.d = Discriminator(
            epilogue_kwargs={"mbstd_group_size": 4}, **image, **widths
        )
        for network in (self.g, self.d):
            network.train().requires_grad_(False).to(device)
        self.ema = copy.deepcopy(self.g).eval()
        self.g_optimiser = lazy_adam(self.g.parameters(), G_INTERVAL)
        self.d_optimiser = lazy_adam(self.d.parameters(), D_INTERVAL)
        self.real = torch.rand(self.batch, 3, size, size, device=device) * 2 - 1
        self.label = torch.zeros(self.batch, 0, device=device)
        self.loss = StyleGAN2Loss(
            device=device,
            G_mapping=self.g.mapping,
            G_synthesis=self.g.synthesis,
            D=self.d,
            style_mixing_prob=MIXING,
            r1_gamma=R1_GAMMA,
            pl_batch_shrink=PL_SHRINK,
            pl_decay=PL_DECAY,
            pl_weight=PL_WEIGHT,
        )

    def generate(self) -> None:
        """Pictures of the averaged generator, with its own noise."""
        import torch

        with torch.no_grad():
            self.ema(self._z(), self.label, noise_mode="const")

    def g_main(self) -> None:
        """The generator's logistic loss."""
        self._phase("Gmain", self.g, self.g_optimiser, 1)

    def g_reg(self) -> None:
        """The path length penalty on half of the batch."""
        self._phase("Greg", self.g, self.g_optimiser, G_INTERVAL)

    def d_main(self) -> None:
        """The discriminator's logistic loss on fakes and reals."""
        self._phase("Dmain", self.d, self.d_optimiser, 1)

    def d_reg(self) -> None:
        """The R1 penalty."""
        self._phase("Dreg", self.d, self.d_optimiser, D_INTERVAL)

    def end(self) -> None:
        """Moves the averaged generator."""
        move_average(self.ema, self.g)

    def _phase(self, name: str, network: Any, optimiser: Any, interval: int) -> None:
        import torch

        optimiser.zero_grad(set_to_none=True)
        network.requires_grad_(True)
        self.loss.accumulate_gradients(
            phase=name,
            real_img=self.real,
            real_c=self.label,
            gen_z=self._z(),
            gen_c=self.label,
            sync=True,
            gain=interval,
        )
        network.requires_grad_(False)
        for parameter in network.parameters():
            if parameter.grad is not None:
                torch.nan_to_num(
                    parameter.grad, nan=0, posinf=1e5, neginf=-1e5, out=parameter.grad
                )
        optimiser.step()

    def _z(self) -> Any:
        import torch

        return torch.randn(self.batch, Z_DIM, device=self.device)


PEERS = {"rosinality": Rosinality, "nvlabs": Nvidia}


def move_average(average: Any, network: Any) -> None:
    """Moves the parameters of an averaged network towards the trained one's."""
    import torch

    with torch.no_grad():
        for old, new in zip(average.parameters(), network.parameters()):  # noqa: B905
            old.lerp_(new, 1 - EMA_DECAY)


def open_peer(settings: dict) -> Any:
    """Imports the peer from its checkout and makes its networks.

    Args:
        settings: ``peer``, ``checkout``, ``resolution``, ``batch``, ``channel_base``,
            ``dtype``, ``threads`` and ``device`` (cpu or cuda).
    """
    import torch

    torch.manual_seed(0)
    random.seed(0)
    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    tf32 = settings["dtype"] == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True
    sys.path.insert(0, settings["checkout"])
    return PEERS[settings["peer"]](settings, torch.device(settings["device"]))


def describe(peer: Any) -> dict:
    """Versions, and parameters of both networks."""
    import torch

    def count(network: Any) -> int:
        return sum(p.numel() for p in network.parameters())

    return {
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "g_parameters": count(peer.g),
        "d_parameters": count(peer.d),
    }


def seconds_of(peer: Any, phase: str) -> float:
    """Runs one phase, and waits for the device before and after."""
    import torch

    cuda = peer.device.type == "cuda"
    if cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    getattr(peer, phase)()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def serve(requests: Any, answers: Any) -> int:
    """Answers requests until there are no more; returns the exit code."""

    def answer(document: dict) -> None:
        answers.write(json.dumps(document) + "\n")
        answers.flush()

    try:
        peer = open_peer(json.loads(requests.readline()))
        answer({"ready": describe(peer)})
        for line in requests:
            answer({"seconds": seconds_of(peer, json.loads(line))})
    # Whatever goes wrong in the other program is told to ours, which says it.
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}"})
        raise
    return 0


def main() -> int:
    """Talks over stdin and stdout."""
    # The folder of this file is not the peer's, and has names that modules have too.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != here]
    sys.dont_write_bytecode = True
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with contextlib.closing(answers):
        return serve(sys.stdin, answers)


if __name__ == "__main__":
    sys.exit(main())
