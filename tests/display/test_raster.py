import struct
import zlib

import pytest

from llm_magics.display.raster import COLOURS, expand, heatmap_png


def chunks(png):
    """Read a PNG back, checking every checksum."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = {}, 8
    while at < len(png):
        (size,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        data = png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0] == zlib.crc32(
            kind + data
        )
        found[kind], at = data, at + 12 + size
    return found


def test_every_value_is_the_index_of_its_pixel():
    found = chunks(heatmap_png(3, 2, bytes([0, 1, 2, 253, 254, 255])))
    assert struct.unpack(">IIBBBBB", found[b"IHDR"]) == (3, 2, 8, 3, 0, 0, 0)
    assert zlib.decompress(found[b"IDAT"]) == bytes([0, 0, 1, 2, 0, 253, 254, 255])
    assert found[b"tRNS"] == bytes(range(256))
    assert len(found[b"PLTE"]) == 768


def test_scale_repeats_pixels_both_ways():
    found = chunks(heatmap_png(2, 1, bytes([7, 9]), scale=2))
    assert zlib.decompress(found[b"IDAT"]) == bytes([0, 7, 7, 9, 9]) * 2


@pytest.mark.parametrize("paper", [255, 17])
def test_more_is_always_further_from_the_background(paper):
    def distance(colour):
        *rgb, alpha = colour
        return sum(((value - paper) * alpha / 255) ** 2 for value in rgb)

    distances = [distance(colour) for colour in COLOURS]
    assert distances == sorted(distances)
    assert distances[0] == 0


def test_companding_keeps_a_weight_within_0_004():
    for weight in (0.0, 0.0005, 0.01, 0.3, 0.999, 1.0):
        assert expand(round(255 * weight**0.5)) == pytest.approx(weight, abs=0.004)


@pytest.mark.parametrize("size", [(0, 1, b""), (2, 2, b"abc"), (1, 1, b"ab")])
def test_sizes_that_disagree_are_refused(size):
    with pytest.raises(ValueError, match="bytes"):
        heatmap_png(*size)
