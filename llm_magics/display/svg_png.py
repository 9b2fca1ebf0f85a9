"""An SVG picture as PNG, drawn by resvg, which only this needs.

Letters that no font here has become boxes or are left out; an SVG has the reader's fonts.
"""

from __future__ import annotations

from functools import cache

from llm_magics.errors import InputError

__all__ = ["svg_png"]

_SANS_SERIF = ("Arial", "Helvetica", "DejaVu Sans", "Liberation Sans", "Noto Sans", "FreeSans")
"""What `sans-serif` may stand for, the first that is there: resvg takes it for Arial and draws no
text at all without that."""


def svg_png(svg: str, scale: int = 2) -> bytes:
    """PNG bytes of an SVG picture, `scale` pixels a unit, on a white page.

    Raises InputError when resvg-py is not installed.
    """
    try:
        import resvg_py
    except ImportError:
        raise InputError(
            "saving as .png needs resvg: pip install resvg-py, or save as .svg, which needs nothing"
        ) from None
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg, zoom=scale, background="white", sans_serif_family=_sans_serif()
        )
    )


@cache
def _sans_serif() -> str:
    """The family among `_SANS_SERIF` that leaves ink on a page; the first where none does."""
    import resvg_py

    def probe(family: str) -> bytes:
        text = f'<text y="9" font-size="9" font-family="{family}">m</text>'
        page = f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{text}</svg>'
        return bytes(resvg_py.svg_to_bytes(svg_string=page))

    blank = probe("no such family")
    return next((family for family in _SANS_SERIF if probe(family) != blank), _SANS_SERIF[0])
