import re
from html.parser import HTMLParser

from llm_magics.display.html import render
from llm_magics.display.parallel import SentencePair, parallel_text

CAT = SentencePair(
    "The cat sleeps.",
    "Die Katze schläft.",
    ("The ", "cat ", "sleeps."),
    ("Die ", "Katze ", "schläft."),
    ((0.6, 0.3, 0.1), (0.05, 0.9, 0.05), (0.0, 0.07, 0.93)),
)


def html(*pairs):
    return render(
        parallel_text(
            pairs,
            source_language="English",
            target_language="German",
            source_code="en",
            target_code="de",
        )
    )


class Cells(HTMLParser):
    """The text of each cell and the classes of each word."""

    def __init__(self, page):
        super().__init__()
        self.cells, self.classes = [], {}
        self._word = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "td":
            self.cells.append("")
        self._word = dict(attrs).get("class", "").split() if tag == "span" else None

    def handle_data(self, data):
        if self.cells:
            self.cells[-1] += data
            if self._word:
                self.classes[data] = self._word
                self._word = None


def test_words_put_together_are_the_sentences():
    assert Cells(html(CAT)).cells[:2] == [
        "The cat sleeps.",
        "Die Katze schläft.Point at a word to see which words it was translated from.",
    ]


def test_a_target_word_lights_the_source_words_it_looked_at_by_strength():
    words = Cells(html(CAT)).classes
    assert words["The"] == ["s0", "c0"]
    assert words["cat"] == ["s1", "b0", "c1"]
    assert words["sleeps."] == ["s2", "a0", "c2"]
    assert words["Die"] == ["t0", "z0", "y1", "x2"]


def test_every_class_that_lights_up_has_its_rule():
    page = html(CAT)
    name = re.search(r'id="(llm-\w+)"', page)[1]
    for rule in (f"#{name} .r:has(.t1:hover) .c1", f"#{name} .r:has(.s2:hover) .x2"):
        assert rule in page


def test_the_tooltip_names_the_words_without_any_style_sheet():
    assert 'title="schläft. ← sleeps. (0.93)"' in html(CAT)
    assert 'title="cat → Katze (0.90), Die (0.30)"' in html(CAT)


def test_the_style_sheet_does_not_grow_with_the_number_of_sentences():
    def sheet(page):
        return len(re.search(r"<style>.*</style>", page, re.DOTALL)[0])

    assert sheet(html(CAT)) == sheet(html(*[CAT] * 500))


def test_without_alignment_there_is_no_style_sheet_and_no_hint():
    page = html(SentencePair("a", "b"))
    assert "<style" not in page
    assert "Point at" not in page


def test_an_alignment_of_the_wrong_size_is_not_used():
    broken = SentencePair("a b", "c", ("a ", "b"), ("c",), ((1.0,),))
    assert not broken.aligned
    assert Cells(html(broken)).cells == ["a b", "c"]


def test_an_alignment_of_nan_lights_nothing():
    page = html(SentencePair("a", "b", ("a",), ("b",), ((float("nan"),),)))
    assert Cells(page).classes["a"] == ["s0"]


def test_a_sentence_without_its_translation_yet_shows_an_ellipsis():
    assert Cells(html(SentencePair("a", ""))).cells == ["a", "…"]


def test_text_in_cells_tooltips_and_heads_is_never_markup():
    evil = '"><script>x</script>'
    page = render(
        parallel_text(
            [SentencePair(evil, evil, (evil,), (evil,), ((1.0,),)), SentencePair(evil, evil)],
            source_language=evil,
            target_language=evil,
            source_code=evil,
        )
    )
    assert "<script" not in page
    assert page.count("<style>") == 1


def test_direction_follows_each_text():
    assert html(CAT).count('<bdi dir="auto"') == 4


def test_a_very_long_sentence_keeps_tooltips_and_a_bounded_style_sheet():
    words = tuple(f"w{i} " for i in range(400))
    diagonal = tuple(tuple(1.0 if i == j else 0.0 for j in range(400)) for i in range(400))
    page = html(SentencePair("".join(words), "".join(words), words, words, diagonal))
    assert 'title="w399 ← w399 (1.00)"' in page
    assert ".t99:hover" in page
    assert ".t100:hover" not in page
