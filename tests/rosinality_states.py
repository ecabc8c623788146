"""State dicts with rosinality's names, drawn at random."""

import numpy as np

FIR = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32) / 64


def rosinality_state(size=16, seed=0, lr_mlp=0.01):
    """A generator and a discriminator with rosinality's names, 16 px, config-f."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(0.1)

    g = {"input.input": draw(1, 512, 4, 4)}
    for i in (1, 2):
        # Divided by the learning rate multiplier, as programs store them.
        weight = draw(512, 512) * np.float32(1000 * 0.01 / lr_mlp)
        g |= {f"style.{i}.weight": weight, f"style.{i}.bias": draw(512)}

    def styled(name, out, kernel):
        g[f"{name}.conv.weight"] = draw(1, out, 512, kernel, kernel)
        g[f"{name}.conv.modulation.weight"] = draw(512, 512)
        g[f"{name}.conv.modulation.bias"] = draw(512)

    def layer(name):
        styled(name, 512, 3)
        g[f"{name}.noise.weight"] = draw(1)
        g[f"{name}.activate.bias"] = draw(512)

    def torgb(name):
        styled(name, 3, 1)
        g[f"{name}.bias"] = draw(1, 3, 1, 1)

    layer("conv1")
    torgb("to_rgb1")
    g["noises.noise_0"] = draw(1, 1, 4, 4)
    blocks = {16: 2, 8: 1}[size]
    for k in range(blocks):
        layer(f"convs.{2 * k}")
        g[f"convs.{2 * k}.conv.blur.kernel"] = FIR * 4
        layer(f"convs.{2 * k + 1}")
        torgb(f"to_rgbs.{k}")
        g[f"to_rgbs.{k}.upsample.kernel"] = FIR * 4
        for n in (2 * k + 1, 2 * k + 2):
            g[f"noises.noise_{n}"] = draw(1, 1, 8 << k, 8 << k)
    d = {"convs.0.0.weight": draw(512, 3, 1, 1), "convs.0.1.bias": draw(512)}
    for i in range(1, blocks + 1):
        d[f"convs.{i}.conv1.0.weight"] = draw(512, 512, 3, 3)
        d[f"convs.{i}.conv1.1.bias"] = draw(512)
        d[f"convs.{i}.conv2.0.kernel"] = FIR
        d[f"convs.{i}.conv2.1.weight"] = draw(512, 512, 3, 3)
        d[f"convs.{i}.conv2.2.bias"] = draw(512)
        d[f"convs.{i}.skip.0.kernel"] = FIR
        d[f"convs.{i}.skip.1.weight"] = draw(512, 512, 1, 1)
    d["final_conv.0.weight"] = draw(512, 513, 3, 3)
    d["final_conv.1.bias"] = draw(512)
    d["final_linear.0.weight"] = draw(512, 8192)
    d["final_linear.0.bias"] = draw(512)
    d["final_linear.1.weight"] = draw(1, 512)
    d["final_linear.1.bias"] = draw(1)
    return g, d
