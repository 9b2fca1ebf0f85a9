"""Chat templates are programs of strangers."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from llm_magics.errors import BrokenModel
from llm_magics.models.generate import chat
from llm_magics.models.manager.manager import ModelManager

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi {{ 1 + 1 }}"},
]


@pytest.fixture
def with_template(models):
    """with_template(text) -> a loaded chat model with that template."""
    manager = ModelManager(device="cpu")
    with manager.lease(models("llama")) as model:
        own = model.tokenizer.chat_template

        def change(template):
            model.tokenizer.chat_template = template
            return model

        yield change
        model.tokenizer.chat_template = own
    manager.close()


TEMPLATES = [
    "{% for m in messages %}\n  {% if loop.first %}{{ bos_token }}{% endif %}\n[{{ m.role }}] {{ "
    "m['content'] | trim }}"
    "{{ eos_token }}\n{% endfor %}{% if add_generation_prompt %}>>{% endif %}",
    (
        "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{{ m | "
        "tojson "
        "}}{% endfor %}"
    ),
    "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
    "{{ messages | tojson(indent=2) }}{% if tools %}tools{% endif %}",
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_renders_as_transformers_renders_it(with_template, template):
    model = with_template(template)
    expected = model.tokenizer.apply_chat_template(
        MESSAGES, tokenize=False, add_generation_prompt=True
    )
    assert chat.render_chats(model, [MESSAGES, MESSAGES]) == [expected, expected]


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ raise_exception('only user and assistant') }}",
        "{% for",
        "{{ 'x' * 2000000000 }}",
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxxxxxxxxxxx{% endfor "
            "%}{% "
            "endfor %}"
        ),
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_a_hostile_template_is_refused_by_name(with_template, template, monkeypatch):
    monkeypatch.setattr(chat, "MAX_CPU_S", 1)
    model = with_template(template)
    with pytest.raises(BrokenModel, match="chat template of .*llama"):
        chat.render_chats(model, [MESSAGES])


def test_a_template_that_never_ends_is_killed(with_template, monkeypatch):
    killed = []

    def too_slow(*args, **options):
        killed.append(options["timeout"])
        raise subprocess.TimeoutExpired(args[0], options["timeout"])

    monkeypatch.setattr(
        chat, "subprocess", SimpleNamespace(run=too_slow, TimeoutExpired=subprocess.TimeoutExpired)
    )
    with pytest.raises(BrokenModel, match="did not end"):
        chat.render_chats(with_template("{{ 1 }}"), [MESSAGES])
    assert killed == [chat.TIMEOUT_S]


def test_the_renderer_sees_nothing_of_the_current_folder(tmp_path, monkeypatch, with_template):
    (tmp_path / "jinja2.py").write_text("raise SystemExit('imported from the current folder')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert chat.render_chats(with_template("{{ messages[1].content }}"), [MESSAGES]) == [
        "Hi {{ 1 + 1 }}"
    ]
    assert sys.executable
