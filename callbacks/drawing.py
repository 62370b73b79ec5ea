"""What the pictures in TensorBoard are drawn with: the font that Pillow brings, a few colours, a file format."""

import unicodedata
from functools import lru_cache
from io import BytesIO
from math import ceil

from PIL import Image, ImageDraw, ImageFont
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
from torch.utils.tensorboard import SummaryWriter

from ..vocabulary import shorten

Colour = tuple[int, int, int]

BLUE, RED, INK, LINE = (24, 90, 166), (206, 74, 28), (40, 44, 52), (226, 228, 232)
WHITE, PALE = (255, 255, 255), (190, 194, 202)
GAP = 6
"""Pixels between parts of a picture."""


@lru_cache(4096)
def lettering(words: str, size: int) -> Image.Image:
    """A line of text, a mask to paste a colour through. Nobody draws on it: it is kept for the next time."""
    font = ImageFont.load_default(size)
    _, top, _, bottom = font.getbbox("Afg|")
    mask = Image.new("L", (ceil(font.getlength(words)) + 1, ceil(bottom - top) + 1))
    ImageDraw.Draw(mask).text((0, -top), words, 255, font)
    return mask


def in_ascii(words: str, number: int, longest: int) -> str:
    """A name in ASCII, since the font that Pillow brings has little else: accents are left out, and where letters are
    lost the name's number stands before the rest.

    Args:
        words: The name.
        number: Of the label or token.
        longest: Characters of the result.
    """
    letters = [c for c in unicodedata.normalize("NFKD", words) if not unicodedata.combining(c)]
    rest = "".join(c for c in letters if c.isascii() and c.isprintable())
    return shorten(rest if len(rest) == len(letters) else f"#{number} {rest}".rstrip(), longest)


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """The colour between two; ``share`` is of the other."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def add_picture(board: SummaryWriter, tag: str, image: Image.Image, step: int) -> None:
    """Put a picture on a board. ``SummaryWriter.add_image`` takes ten times as long for one with a palette."""
    content = BytesIO()
    image.save(content, "PNG", compress_level=1)
    picture = Summary.Image(
        height=image.height, width=image.width, colorspace=3, encoded_image_string=content.getvalue()
    )
    summary = Summary(value=[Summary.Value(tag=tag, image=picture)])
    board._get_file_writer().add_summary(summary, step)  # type: ignore[no-untyped-call]
