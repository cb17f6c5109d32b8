"""One rollout with an engine of your own: no vLLM, no server, no checkpoint.

python examples/own_engine.py
"""

from __future__ import annotations

import asyncio

from PIL import Image, ImageDraw

from cof_eval.agent.engine import Request, Response
from cof_eval.agent.protocols import COF
from cof_eval.agent.rollout import Subject, rollout
from cof_eval.agent.zoom import View
from cof_eval.core.images import pixel_hash, resize
from cof_eval.core.records import Finish, ImageRef, Question
from cof_eval.core.resolution import PixelLimits, parse_resolution, shown_size


class RedFinder:
    """An engine that looks for red: it zooms where the shown image is red, and answers from the crop."""

    limits = PixelLimits(factor=28, min_pixels=3136, max_pixels=12_845_056)
    context = 32_768
    max_images = 6

    def text_tokens(self, text: str) -> int:
        """An upper bound is enough."""
        return len(text)

    async def start(self) -> None:
        """Load the weights; there are none."""

    async def generate(self, request: Request) -> Response:
        """One turn: call the tool with the first image, answer with the second."""
        image = request.images[-1].image
        box = image.convert("HSV").getchannel("S").point(lambda value: 255 if value > 128 else 0).getbbox()
        if len(request.images) == 1:
            call = f'{{"name": "image_zoom_in_tool", "arguments": {{"bbox_2d": {list(box)}}}}}'
            text = f"<think>Something is red.</think> <tool_call>{call}</tool_call>"
        else:
            text = f"<think>It has {image.width}x{image.height} pixels now.</think> <answer>A</answer>"
        visual = sum(each.visual_tokens for each in request.images)
        return Response(
            text=text,
            finish=Finish.STOP,
            prompt_tokens=visual,
            cached_tokens=0,
            output_tokens=20,
            visual_tokens=visual,
            engine_s=0,
        )

    async def close(self) -> None:
        """Release the model; there is none."""


def subject(engine: RedFinder) -> Subject:
    """A question about a grey photograph with a small red mug, shown at resolution 224."""
    native = Image.new("RGB", (1120, 840), "grey")
    ImageDraw.Draw(native).rectangle((800, 600, 839, 649), fill="red")
    shown = resize(native, shown_size(native.size, parse_resolution("224"), COF.limits(engine.limits)))
    question = Question(
        id="1", benchmark="mine", category="colour", cluster="1", options=("red", "blue"), answer="A",
        text="What is the color of the mug?\n(A) red\n(B) blue",
    )  # fmt: skip
    view = View(shown, native.size)
    return Subject(
        question=question, image=ImageRef(pixel_hash(native), native.size), view=view, shown_hash=pixel_hash(shown), key="1"
    )


async def main() -> None:
    """Run the loop on one question, and print the trajectory."""
    engine = RedFinder()
    trajectory = await rollout(subject(engine), engine, COF)
    for turn in trajectory.turns:
        print(turn.text)
        for call in turn.calls:
            print(f"  -> a crop of {call.crop.size}, native box {tuple(round(edge) for edge in call.crop.native_box)}")
    print(f"{trajectory.stop.value}: {trajectory.answer}, after {trajectory.zooms} zoom")


if __name__ == "__main__":
    asyncio.run(main())
