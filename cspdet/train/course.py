"""How the loss goes: its average so far, and whether it has left for good."""

from __future__ import annotations

import math
from dataclasses import dataclass

# A loss that stays this many times above the best average, for so many steps, has diverged.
_DIVERGED, _PATIENCE = 50, 100


@dataclass
class Course:
    """The loss from step to step. The average starts at the first loss and moves by a tenth (`detector.c:train_detector`)."""

    average_loss: float = math.nan
    # The lowest average since it is watched, and for how many steps in a row it has been far above that.
    lowest_loss: float = math.inf
    above: int = 0

    def follow(self, loss: float, iteration: int, burn_in: int) -> None:
        """Take the loss of a step; it is watched once there were enough of them and the burn-in is over."""
        self.average_loss = loss if math.isnan(self.average_loss) else 0.9 * self.average_loss + 0.1 * loss
        if iteration > burn_in and iteration >= _PATIENCE:
            self.lowest_loss = min(self.lowest_loss, self.average_loss)
            self.above = self.above + 1 if self.average_loss > _DIVERGED * self.lowest_loss else 0

    @property
    def diverged(self) -> bool:
        """Whether the loss has left for good."""
        return self.above >= _PATIENCE
