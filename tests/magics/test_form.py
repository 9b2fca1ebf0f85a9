"""A magic as a form and back: every option once, and a line that reads back as what was filled
in."""

import pytest

from llm_magics.errors import InputError
from llm_magics.magics import MAGICS, find_command
from llm_magics.magics.core.options import parse
from llm_magics.magics.panels import form
from llm_magics.magics.task import TaskCommand

TASKS = [name for name in MAGICS if isinstance(find_command(name), TaskCommand)]


@pytest.fixture(params=TASKS)
def command(request):
    return find_command(request.param)


def read_back(command, line):
    """The values of the form that the parser of the magic finds on `line`."""
    scanned = command.scanned(line, "text")
    return parse(command._parser("%x"), scanned.arguments), scanned


def test_every_option_of_its_own_is_a_field_with_help_and_default_or_has_a_box(command):
    described = form.form_of(command)
    fields = {field["name"]: field for field in described["fields"]}
    boxed = {box.option for box in command.boxes}
    for option in command.options:
        if option.flag in boxed or option.flag in form.ROWS:
            assert option.name not in fields
            continue
        field = fields[option.name]
        assert (field["help"], field["choices"]) == (option.help, list(option.choices))
        assert field["default"] == ("" if option.default is None else str(option.default))
    assert not {"panel", "quiet", "out", "help", "resume"} & set(fields)


def test_numbers_carry_their_bounds():
    fields = {field["name"]: field for field in form.form_of(find_command("translate"))["fields"]}
    assert (
        fields["beams"]["kind"],
        fields["beams"]["low"],
        fields["beams"]["high"],
        fields["beams"]["step"],
    ) == ("number", 1, 64, 1)
    assert [fields[name]["kind"] for name in ("from", "to", "model")] == [
        "language",
        "language",
        "model",
    ]


def test_a_task_begins_with_an_example_that_needs_nothing_of_the_notebook(command):
    examples = form.form_of(command)["examples"]
    assert examples
    for example in examples:
        assert set(example["texts"]) <= {box.name for box in command.boxes}
        assert all(text.strip() for text in example["texts"].values())
        line = form.line_of(command, example["values"])
        assert form.known_values(command, command.scanned(line, "x").arguments) == example["values"]


@pytest.mark.parametrize(
    "model",
    [
        "embedded:en-de",
        "./my model",
        "it's/here",
        'models["a b"]',
        "a(b",
        "--to",
        "--odd",
        "['a', \"it's\"]",
        " x ",
    ],
)
def test_any_value_reads_back_as_it_was(model):
    command = find_command("translate")
    values, scanned = read_back(
        command, form.line_of(command, {"to": "de", "model": model, "beams": "4"})
    )
    assert (values["model"], values["to"], values["beams"], scanned.text) == (model, "de", 4, "")


def test_a_value_that_no_line_can_hold_is_refused():
    with pytest.raises(InputError, match="both"):
        form.line_of(find_command("translate"), {"model": "a \"b' c"})


def test_defaults_and_empty_fields_are_not_on_the_line():
    command = find_command("translate")
    assert form.tidy_values(command, {"from": "auto", "to": " ", "model": None, "beams": 1}) == {}
    with pytest.raises(InputError, match="no field 'speed'; it has from, to"):
        form.tidy_values(command, {"speed": "9"})


def test_boxes_become_a_cell_and_a_cell_becomes_boxes():
    ask = find_command("ask")
    texts = {"context": "Rome is old.\n\nVery old.", "text": "Is it?\nHow old?"}
    assert form.split_text(ask, form.cell_of(ask, texts)) == texts
    assert form.split_text(ask, "Is it?") == {"text": "Is it?"}
    with pytest.raises(InputError, match="line ---"):
        form.cell_of(ask, {"context": "a\n---\nb", "text": "c"})
    assert form.cell_of(find_command("translate"), {"text": "  a\n---\nb\n"}) == "  a\n---\nb\n"


def test_offers_are_those_of_completion_with_names_for_languages():
    offers = form.offers_for(find_command("translate"), {})
    assert offers["from"][0] == ["auto", "detect", "auto"]
    assert ["de", "German", "de"] in offers["to"]
    assert ["embedded:en-de", "embedded:en-de", "ships with llm_magics"] in offers["model"]


def test_modules_of_the_notebook_are_offered_as_models():
    torch = pytest.importorskip("torch")
    offers = form.offers_for(
        find_command("translate"),
        {"mine": torch.nn.Linear(1, 1), "pair": (torch.nn.Linear(1, 1), None), "words": ["a"]},
    )
    names = {value: note for value, _, note in offers["model"]}
    assert names["mine"] == names["pair"] == "notebook variable"
    assert "words" not in names
