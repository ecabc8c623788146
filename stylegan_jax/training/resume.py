"""Where a run begins or goes on: counters, state, and what must be the same."""

from __future__ import annotations

import dataclasses
import time

import jax

from stylegan_jax.checkpoints.training_state import TrainingCheckpoints
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.training import compile as compiling
from stylegan_jax.training.progress import Progress
from stylegan_jax.training.run import Run, State


@dataclasses.dataclass
class Clock:
    """Counters of a run on the host.

    Attributes:
        step: updates done.
        nimg: images seen.
        earlier: seconds before this call.
        began: monotonic time of this call's first step.
    """

    step: int
    nimg: int
    earlier: float
    began: float = 0.0

    @property
    def seconds(self) -> float:
        """Wall time of the run over all calls, measuring and saving included."""
        return self.earlier + time.monotonic() - self.began


def resume_point(
    run: Run, checkpoints: TrainingCheckpoints, progress: Progress
) -> Clock:
    """The counters of the newest checkpoint, or of a run that begins.

    Raises:
        UserError: the run was begun with another seed, parent or kind of loss.
    """
    newest = checkpoints.latest()
    if newest is None:
        return Clock(0, _first_image(run), 0.0)
    document = checkpoints.read_document(newest)
    seed = run.config.train.seed
    if document["seed"] != seed:
        raise UserError(
            f"This run was begun with train.seed={document['seed']} and cannot go on "
            f"with {seed}: use that seed, or another --workdir."
        )
    for name, (known, why) in run.begun_with().items():
        if name in document and document[name][0] != known:
            raise UserError(
                f"This run was begun with {document[name][1]} and cannot go on with "
                f"{why}: use that, or another --workdir."
            )
    if document["data"] != run.data_identity:
        progress.say("note: the pictures are not those that this run was begun with")
    progress.say(f"going on at {document['nimg'] / 1000:.2f} kimg")
    return Clock(newest, document["nimg"], document["seconds"])


def _first_image(run: Run) -> int:
    """Images that count as seen when a run begins.

    Raises:
        UsageError: the run would be over before its first step.
    """
    config = run.config
    if config.init.resume_kimg >= config.train.total_kimg:
        raise UsageError(
            f"init.resume_kimg={config.init.resume_kimg:g} counts as seen already and "
            f"the run ends at train.total_kimg={config.train.total_kimg:g}: give a "
            "larger --config.train.total_kimg."
        )
    return int(config.init.resume_kimg * 1000)


def first_state(
    run: Run, checkpoints: TrainingCheckpoints, clock: Clock
) -> tuple[State, jax.Array]:
    """The checkpoint's state, or a fresh one; and the run's root key."""
    key = compiling.root_key(run, run.config.train.seed)
    if checkpoints.latest() is None:
        return run.adopt(compiling.make_init(run)(key)), key
    return checkpoints.restore(clock.step, compiling.abstract_state(run)), key
