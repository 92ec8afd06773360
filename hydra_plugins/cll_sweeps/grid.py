"""Sweeper `hydra/sweeper=grid`: Hydra's sweep over all combinations, composing each job once."""

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper


class Grid(BasicSweeper):
    """A BasicSweeper that does not compose all jobs in advance to check them.

    Each job checks its own config, and a faulty one stops no other. The check in advance took three
    seconds of one processor for 64 jobs.
    """

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Accept every batch."""
