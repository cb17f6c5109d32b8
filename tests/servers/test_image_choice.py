"""Where a server is decides how images travel to it."""

from __future__ import annotations

import asyncio

import pytest

from cof_eval.servers.images import ImageChoice, ImageFormat, choose_format, is_near

BMP, PNG = ImageFormat.BMP, ImageFormat.PNG


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("10.1.2.3", True),
        ("172.16.0.9", True),
        ("192.168.1.7", True),
        ("fd00::7", True),
        ("169.254.3.4", True),
        ("localhost", True),
        ("8.8.8.8", False),
        ("172.32.0.1", False),
        ("2001:4860::8888", False),
        ("100.64.0.1", False),
        ("", False),
        ("a..b", False),
        ("no-such-host.invalid", False),
        ("x" * 80, False),
    ],
)
def test_this_machine_and_private_networks_are_near(host: str, near: bool) -> None:
    assert asyncio.run(is_near(host)) is near


@pytest.mark.parametrize(
    ("url", "wanted", "proxied", "expected"),
    [
        ("http://127.0.0.1:8000/v1", ImageFormat.AUTO, False, ImageChoice(BMP, may_change=True)),
        ("http://[::1]:8000/v1", ImageFormat.AUTO, False, ImageChoice(BMP, may_change=True)),
        ("http://127.0.0.1:8000/v1", ImageFormat.AUTO, True, ImageChoice(PNG)),
        ("https://8.8.8.8/v1", ImageFormat.AUTO, False, ImageChoice(PNG)),
        ("https://8.8.8.8/v1", BMP, False, ImageChoice(BMP)),
        ("http://127.0.0.1/v1", ImageFormat.JPEG, False, ImageChoice(ImageFormat.JPEG)),
    ],
)
def test_auto_is_bmp_nearby_and_png_elsewhere(url: str, wanted: ImageFormat, proxied: bool, expected: ImageChoice) -> None:
    chosen = asyncio.run(choose_format(url, wanted, proxied=proxied))
    assert (chosen.format, chosen.may_change) == (expected.format, expected.may_change)


def test_once_an_image_was_taken_only_a_refusal_that_names_the_format_counts() -> None:
    choice = ImageChoice(BMP, may_change=True)
    assert choice.suspects(400, "Bad Request")
    assert not choice.suspects(500, "Internal server error")
    choice.taken = True
    assert not choice.suspects(400, "Bad Request")
    assert choice.suspects(400, "unsupported image type")
    choice.fall_back("no")
    assert (choice.format, choice.suspects(400, "unsupported image type")) == (PNG, False)
