"""From a plan to what a rollout needs: the native image decoded, the shown image resized and hashed. Runs in threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future

from PIL import Image

from ..agent.protocols import Protocol
from ..agent.rollout import KeepImage, Subject
from ..agent.showing import look
from ..core.errors import ImageError
from ..core.images import load_native, pixel_hash, source_hash
from ..core.records import ShownImage, Stop, Trajectory
from ..core.resolution import PixelLimits
from .plan import PlannedJob, StoredImage

_NATIVES = 2
"""Decoded native images kept for the next resolution of the same image, where few are looked at at once."""
_RESOLUTIONS = 8
"""Of one image, in a whole sweep: they follow each other."""


class Preparer:
    """Looks at the images of planned jobs; safe for threads."""

    def __init__(self, protocol: Protocol, limits: PixelLimits, keep_image: KeepImage, *, at_once: int = 1) -> None:
        """Make one.

        Args:
            protocol: how images are shown.
            limits: the protocol's pixel limits within the engine's.
            keep_image: called with every shown image.
            at_once: images that are looked at at the same time.
        """
        self._protocol = protocol
        self._limits = limits
        self._keep_image = keep_image
        self._natives = _NativeCache(_NATIVES + at_once // _RESOLUTIONS)

    def prepare(self, plan: PlannedJob) -> Subject | Trajectory:
        """The start of a rollout, or, if the image cannot be shown, the trajectory that says so."""
        if plan.error is not None:
            return failed_trajectory(plan, self._protocol, plan.error)
        try:
            return self._look(plan)
        except ImageError as error:
            return failed_trajectory(plan, self._protocol, str(error))

    def _look(self, plan: PlannedJob) -> Subject:
        """Decode and resize; the native image is held on to only where crops are cut from it."""
        job = plan.job
        if job.source is None:
            return Subject(question=job.question, image=plan.image, view=None, shown_hash="", key=plan.key, repeat=job.repeat)
        native = self._natives.get(plan.image.hash, job.source)
        view = look(native, job.resolution, self._protocol, self._limits)
        name = pixel_hash(view.shown)
        self._keep_image(name, view.shown)
        return Subject(question=job.question, image=plan.image, view=view, shown_hash=name, key=plan.key, repeat=job.repeat)


class _NativeCache:
    """The last decoded native images, so that the resolutions of one image decode it once; safe for threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._images: OrderedDict[str, Future[Image.Image]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str, source: StoredImage) -> Image.Image:
        """The native image with this hash; the first caller decodes it, the others wait."""
        with self._lock:
            image = self._images.get(name)
            first = image is None
            if image is None:
                image = self._images[name] = Future()
            self._images.move_to_end(name)
            while len(self._images) > self._size:
                self._images.popitem(last=False)
        if first:
            try:
                image.set_result(_load(name, source))
            except BaseException as error:  # any exception at all: nobody may wait for ever
                image.set_exception(error)
        return image.result()


def _load(name: str, source: StoredImage) -> Image.Image:
    """The native image, if its file is still the one that was planned with.

    Raises:
        ImageError: if it cannot be read or has changed.
    """
    data = source.read()
    if source_hash(data) != name:
        raise ImageError("the image file changed while this session ran; run the same command again")
    return load_native(data)


def failed_trajectory(plan: PlannedJob, protocol: Protocol, reason: str) -> Trajectory:
    """The trajectory of a question that could not be asked."""
    return Trajectory(
        key=plan.key,
        question=plan.job.question,
        image=plan.image,
        protocol=protocol.name,
        shown=ShownImage(plan.shown, plan.visual_tokens),
        turns=(),
        answer="",
        stop=Stop.ERROR,
        error=reason,
        repeat=plan.job.repeat,
    )
