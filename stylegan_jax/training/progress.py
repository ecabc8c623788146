"""What a person sees of a run: lines of text and a bar."""

from __future__ import annotations

import sys

from tqdm import tqdm

from stylegan_jax.training.pictures import available
from stylegan_jax.training.run import Run


class Progress:
    """A bar in thousands of images on a terminal; lines elsewhere.

    Lines go to stderr, so that stdout stays free for results.
    """

    def __init__(self, total_kimg: float | None, *, shown: bool):
        """Args: the end of the run; ``shown`` is False for all but one process.

        An end of None is set with `expect` before the bar starts.
        """
        self._names: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._shown = shown
        self._total = total_kimg or 0.0
        self._bar: tqdm | None = None

    def expect(self, total_kimg: float) -> None:
        """Sets the end of the run."""
        self._total = total_kimg

    def say(self, text: str) -> None:
        """Writes a line above the bar."""
        if self._shown:
            tqdm.write(text, file=sys.stderr)

    def start(
        self, nimg: int, *, shown: tuple[str, ...] = (), rare: tuple[str, ...] = ()
    ) -> None:
        """Shows the bar from ``nimg`` images on.

        Args:
            nimg: images seen.
            shown: names of the figures that stand in every line.
            rare: names of those that come seldom and are worth a line above the bar.
        """
        self._names = shown, rare
        if self._shown and sys.stderr.isatty():
            self._bar = tqdm(
                total=self._total,
                initial=nimg / 1000,
                unit="kimg",
                bar_format="{percentage:3.0f}% |{bar}| {n:.2f}/{total:.2f} kimg"
                " [{elapsed}<{remaining}{postfix}]",
                file=sys.stderr,
            )

    def advance(self, images: int) -> None:
        """Moves the bar."""
        if self._bar is not None:
            # The last batch may go past the end, and the bar's time left with it.
            self._bar.update(min(images / 1000, self._total - self._bar.n))

    def tick(self, figures: dict) -> None:
        """Shows the newest figures beside the bar, or as a line."""
        rate = figures["images_per_second"]
        often, rare = self._names
        names = (*often, *rare)
        shown = [f"{n} {figures[n]:.3f}" for n in names if figures.get(n) is not None]
        measured = any(figures.get(n) is not None for n in rare)
        if self._bar is not None:
            self._bar.set_postfix_str("  ".join([f"{rate:.1f} images/s", *shown[:2]]))
        # Measures are rare and worth a line above the bar.
        if self._shown and (self._bar is None or measured):
            left = max(self._total * 1000 - figures["nimg"], 0) / max(rate, 1e-9)
            self.say(
                f"{figures['kimg']:8.2f} of {self._total:g} kimg, epoch "
                f"{figures['epochs']:.1f}  {rate:7.1f} images/s"
                f"  {left / 60:6.1f} min left  {'  '.join(shown)}"
            )

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()


def epochs(run: Run, nimg: int) -> float:
    """How often this run has seen its pictures; not what its parent had seen."""
    return (nimg - int(run.config.init.resume_kimg * 1000)) / available(run.data)
