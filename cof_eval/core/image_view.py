"""What of a question's image a run shows: all of it, the annotated region alone, or nothing. Pure."""

from __future__ import annotations

from enum import StrEnum

from .errors import UsageError


class ImageView(StrEnum):
    """What of its image a question is asked about. Part of a run's identity: other views are other questions."""

    FULL = "full"
    TARGET = "target"
    """The annotated region alone: what a perfect zoom would show. Less accuracy on the full image is the zooming gap."""
    NONE = "none"
    """No image: what the text alone gives away."""

    @property
    def notes(self) -> list[str]:
        """Notes for the reader of a number; empty if the whole image is shown."""
        says = {
            ImageView.TARGET: "view target: only the annotated region of each image was shown, so boxes are not measured",
            ImageView.NONE: "view none: no image was shown, and no tool offered; only the text can be answered from",
        }
        return [says[self]] if self in says else []


def parse_view(name: str) -> ImageView:
    """The view called so.

    Raises:
        UsageError: if there is none.
    """
    if name not in set(ImageView):
        raise UsageError(f"view {name!r} is unknown; known: {', '.join(ImageView)}")
    return ImageView(name)
