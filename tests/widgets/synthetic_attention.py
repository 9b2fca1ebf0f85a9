"""A source of attention that no model made, of any size, with the arithmetic of maps done here once
more in numpy."""

import math
from types import SimpleNamespace

import numpy

from llm_magics.widgets.attention.panel import Panel, thumb_side

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "while",
    "rain",
    "fell",
    "over",
    "old",
    "roofs",
    "and",
    "nobody",
    "came",
    "to",
    "look",
    "for",
    "it",
    "again",
]


def tokens_of(count, words=WORDS):
    return ["[CLS]", *(words[i % len(words)] for i in range(count - 2)), "[SEP]"][:count]


class SyntheticSource:
    """`layers` × `heads` causal or full maps: previous token, first token, same word, near, broad,
    in turns."""

    def __init__(
        self,
        count=12,
        layers=2,
        heads=3,
        *,
        kind="self",
        rows=None,
        columns=None,
        title="synthetic",
        seed=0,
        segments=None,
        first_step=None,
        with_atlas=True,
        thumb=None,
    ):
        self.title, self.seed, self.kind = title, seed, kind
        rows, columns = rows or tokens_of(count), columns or rows or tokens_of(count)
        side = thumb or thumb_side(layers * heads)
        self._shape = len(rows), len(columns)
        self._thumb = min(side, len(rows)), min(side, len(columns))
        self.layers, self.heads = layers, heads
        atlas = b"".join(levels for *_, levels in self._thumbnails()) if with_atlas else b""
        self.panels = [
            Panel(
                kind,
                layers,
                heads,
                rows,
                columns,
                atlas,
                *self._thumb,
                segments,
                segments,
                first_step,
            )
        ]
        self.measures = {
            "diagonal": {
                "title": "on the diagonal",
                "formula": "mean of w[t, t]",
                "source": "here",
                "low": 0.0,
                "high": 1.0,
            },
            "layer": {"title": "the layer itself"},
        }

    def rows(self, layer, head, start, stop):
        """(stop - start, S) weights, float32."""
        height, width = self._shape
        at = numpy.arange(start, stop)[:, None] * width / height
        to = numpy.arange(width)[None, :]
        noise = numpy.sin((at * 7.3 + to * 3.1 + layer * 5 + head + self.seed) * 12.9898) * 1.2
        distance = numpy.abs(at - to)
        scores = [
            -(numpy.abs(at - 1 - to) * 5.0),
            4.0 * (to == 0) - distance / 40,
            3.0 * ((at.astype(int) - to) % 18 == 0),
            -distance / 2.5,
            0.0 * distance,
        ][(layer * self.heads + head + self.seed) % 5] + noise
        weights = numpy.exp(scores - scores.max(1, keepdims=True))
        return (weights / weights.sum(1, keepdims=True)).astype("float32")

    def weights(self, layer, head):
        return self.rows(layer, head, 0, self._shape[0])

    def pooled(self, layer, head, level):
        """Levels of the map max-pooled by 2**level, by blocks of rows."""
        step, (height, width) = 2**level, self._shape
        lines = []
        block = max(step, 256)
        for start in range(0, height, block):
            part = self.rows(layer, head, start, min(height, start + block))
            padded = numpy.zeros(
                (math.ceil(part.shape[0] / step) * step, math.ceil(width / step) * step), "float32"
            )
            padded[: part.shape[0], :width] = part
            lines.append(padded.reshape(padded.shape[0] // step, step, -1, step).max((1, 3)))
        return levels_of(numpy.concatenate(lines))

    def picture(self, kind, layer, head):
        level = max(0, math.ceil(math.log2(max(self._shape) / 512)))
        pooled = self.pooled(layer, head, level)
        return pooled.tobytes(), *pooled.shape

    def tile(self, kind, layer, head, level, row, column):
        step = 256 * 2**level
        part = self.rows(layer, head, row * step, min(self._shape[0], (row + 1) * step))[
            :, column * step : (column + 1) * step
        ]
        height, width = (math.ceil(size / 2**level) for size in part.shape)
        padded = numpy.zeros((height * 2**level, width * 2**level), "float32")
        padded[: part.shape[0], : part.shape[1]] = part
        return levels_of(padded.reshape(height, 2**level, width, 2**level).max((1, 3))).tobytes()

    def row(self, kind, layer, head, row):
        return self.rows(layer, head, row, row + 1)[0].tolist()

    def neuron(self, kind, layer, head, row, column):
        rng = numpy.random.default_rng(row * 1000 + column)
        query, key = rng.normal(size=16), rng.normal(size=16)
        return SimpleNamespace(
            query=query.tolist(),
            key=key.tolist(),
            product=(query * key).tolist(),
            dot=float(query @ key),
            score=float(query @ key) / 4,
            weight=self.row(kind, layer, head, row)[column],
        )

    def measure(self, name, kind):
        if name == "layer":
            return [float(layer) for layer in range(self.layers) for _ in range(self.heads)]
        return [
            float(numpy.trace(self.weights(layer, head)) / self._shape[0])
            for layer in range(self.layers)
            for head in range(self.heads)
        ]

    def thumbnails(self, kind):
        return self._thumbnails()

    def _thumbnails(self):
        edges = [
            numpy.linspace(0, size, side + 1).astype(int)
            for size, side in zip(self._shape, self._thumb, strict=True)
        ]
        for layer in range(self.layers):
            for head in range(self.heads):
                weights = self.weights(layer, head)
                tall = numpy.stack(
                    [weights[a:b].max(0) for a, b in zip(edges[0], edges[0][1:], strict=False)]
                )
                small = numpy.stack(
                    [tall[:, a:b].max(1) for a, b in zip(edges[1], edges[1][1:], strict=False)], 1
                )
                yield layer, head, levels_of(small).tobytes()


def levels_of(weights):
    return numpy.floor(255 * numpy.sqrt(weights) + 0.5).astype("uint8")


def predict(silenced):
    """Silencing moves probability from the first word to the others."""
    lost = 0.2 * len(silenced)
    return {
        "kind": "next-token",
        "entries": [("mat", 0.7 - lost), ("roof", 0.1 + lost), ("<b>cat", 0.05)],
    }
