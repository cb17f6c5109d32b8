"""Crops that the model did not ask for, to show whether zooming itself helps: withheld, blank, elsewhere, or the right place.

Only a call that could be executed gets one; a bad call is answered as ever. Pure.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from ..core.geometry import Box
from ..core.records import Corners, digest
from .protocols import Crops
from .view import View
from .zoom import CropSource, Refusal, ZoomResult, ZoomRules, crop_region, cut

WITHHELD = "[the image of this region is withheld]"
"""What stands where a withheld crop would."""

NO_BOXES = "oracle crops need annotated boxes, and this question has none: it stays unscored. Leave it out, or use crops=real"

_GREY = (128, 128, 128)
_DRAWS = 64
"""Places that are tried until one does not overlap with the region asked for."""


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """What stands in for the crops of one trajectory."""

    crops: Crops
    boxes: Sequence[Corners] = ()
    """The question's annotated boxes, px of the native image."""
    seed: str = ""
    """Seeds the random regions: equal for the same trajectory of the same run."""

    def crop(self, asked: ZoomResult, number: int, view: View, rules: ZoomRules) -> ZoomResult:
        """What the model gets in place of its zoom.

        Args:
            asked: what it asked for, executed.
            number: how many zooms of this trajectory were executed before.
            view: the images at hand.
            rules: how a box becomes a crop.
        """
        if self.crops is Crops.REAL or asked.image is None or asked.native_box is None:
            return asked
        if self.crops is Crops.WITHHELD:
            return replace(asked, withheld=True)
        if self.crops is Crops.BLANK:
            return replace(asked, image=Image.new("RGB", asked.image.size, _GREY), enlarged=None)
        source = view.shown_frame if rules.source is CropSource.SHOWN else view.native_frame
        if self.crops is Crops.RANDOM:
            region = _random_region(asked.native_box.to(source), random.Random(digest(self.seed, number)))
        else:
            region = self._annotated(number, view, rules)
        try:
            return replace(cut(region, view, rules), box=asked.box)
        except Refusal as refusal:
            return ZoomResult(asked.box, error=str(refusal))

    def _annotated(self, number: int, view: View, rules: ZoomRules) -> Box:
        """The region of the next annotated box; each gets its turn."""
        box = Box(*self.boxes[number % len(self.boxes)], view.native_frame)
        return crop_region(box, view, replace(rules, min_side=0))


def _random_region(region: Box, dice: random.Random) -> Box:
    """A region of the same size, in whole pixels, that overlaps with this one as little as the draws allow."""
    x1, y1, x2, y2 = (round(v) for v in region.corners)
    width, height = x2 - x1, y2 - y1
    right, down = int(region.frame.width) - width, int(region.frame.height) - height
    drawn = ((dice.randint(0, right), dice.randint(0, down)) for _ in range(_DRAWS))
    places = [Box(x, y, x + width, y + height, region.frame) for x, y in drawn]
    return min(places, key=region.overlap)
