"""Renders chat templates. Run as a program of its own, which can be killed: templates come with
models.

argument: the CPU seconds it may take.
stdin: {"template": str, "chats": [[{"role", "content"}, ...], ...], "names": {"bos_token": ...,
...}} as JSON. stdout: {"texts": [str, ...]} or {"error": str} as JSON. Imports the standard library
and jinja2.
"""

from __future__ import annotations

import json
import sys

MAX_MEMORY_BYTES = 1 << 30
MAX_CHARACTERS = 2_000_000


def limit_resources(cpu_s: int) -> None:
    """No more than `cpu_s` seconds and MAX_MEMORY_BYTES for this process, where the system can say
    so."""
    try:
        import resource
    except ImportError:  # Windows: the parent's time-out is all there is
        return
    for what, most in ((resource.RLIMIT_CPU, cpu_s), (resource.RLIMIT_AS, MAX_MEMORY_BYTES)):
        try:
            resource.setrlimit(what, (most, most))
        except (ValueError, OSError):
            continue


def render(template: str, chats: list[list[dict]], names: dict[str, str]) -> list[str]:
    """Every chat through the template, up to where the assistant speaks next."""
    from jinja2 import nodes
    from jinja2.exceptions import TemplateError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """{% generation %}...{% endgeneration %} marks what the assistant says; here it changes
        nothing."""

        tags = {"generation"}  # noqa: RUF012 - jinja2's own interface

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return nodes.Scope(body).set_lineno(line)

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    def strftime_now(pattern: str) -> str:
        from datetime import datetime

        return datetime.now().strftime(pattern)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            value,
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals |= {"raise_exception": raise_exception, "strftime_now": strftime_now}
    compiled = environment.from_string(template)
    texts = []
    for messages in chats:
        parts, size = [], 0
        for part in compiled.generate(
            messages=messages, tools=None, add_generation_prompt=True, **names
        ):
            size += len(part)
            if size > MAX_CHARACTERS:
                raise TemplateError(f"it writes more than {MAX_CHARACTERS:,} characters")
            parts.append(part)
        texts.append("".join(parts))
    return texts


def main() -> None:
    """Reads one request, writes one answer."""
    request = json.load(sys.stdin)
    limit_resources(int(sys.argv[1]))
    try:
        answer = {"texts": render(request["template"], request["chats"], request["names"])}
    except BaseException as error:  # noqa: BLE001 - everything, MemoryError and RecursionError too, is the template's fault
        answer = {"error": f"{type(error).__name__}: {error}"[:300]}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
