"""A run that goes on compiles nothing and keeps nothing."""

from __future__ import annotations

import jax
import jax.monitoring
import pytest

from stylegan_jax.training import loop
from stylegan_jax.training.progress import Progress

STEPS = 50
COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def compiled():
    """Seconds of each compilation, as it happens."""
    found = []

    def listen(event, duration, **_):
        if event == COMPILED:
            found.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.unregister_event_duration_listener(listen)


def test_fifty_steps(tiny, tmp_path, monkeypatch, compiled):
    after = []  # compilations and bytes on the devices, after every step

    class Watched(Progress):
        def advance(self, images):
            super().advance(images)
            held = sum(x.nbytes for x in jax.live_arrays())
            after.append((len(compiled), held))

    monkeypatch.setattr(loop, "Progress", Watched)
    config = tiny(f"train.total_kimg={STEPS * 8 / 1000}", "snapshot.every_kimg=10")
    loop.train(config, tmp_path, devices=jax.devices()[:1], show_progress=False)
    assert len(after) == STEPS and after[0][0] > 0
    # The first tick compiles what fetches figures; then a cycle of all phases repeats.
    settled, cycle = 8, 4
    assert after[-1][0] == after[settled][0], "something compiled while it ran"
    held = [size for _, size in after]
    for i in range(settled, STEPS - cycle):
        assert held[i + cycle] == held[i], f"step {i + cycle} keeps more than step {i}"
