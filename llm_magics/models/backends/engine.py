"""What computes a model: torch, or CTranslate2, which needs less memory for encoder-decoders that
only write text.

CTranslate2 is never chosen unasked: its sums are added up in another order, so that a token may
differ where two are almost equally probable. It gives neither attention nor the probabilities of
next words.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from llm_magics.errors import InputError, UnsafeModel, WrongTask
from llm_magics.extras import install_hint
from llm_magics.models.families import FAMILIES, family_of
from llm_magics.models.folder.precision import load_itemsize
from llm_magics.models.number_format import parse_number_format
from llm_magics.models.reference import Reference

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel
    from llm_magics.models.folder.inspect import FolderFacts
    from llm_magics.models.manager.entry import Key

__all__ = [
    "COMPUTE_TYPES",
    "CTRANSLATE2",
    "ENGINES",
    "TORCH",
    "bytes_per_weight",
    "check_engine",
    "check_folder",
    "engine_note",
    "load_key",
    "needed_bytes",
    "open_with",
]

TORCH, CTRANSLATE2 = "torch", "ctranslate2"
ENGINES = (TORCH, CTRANSLATE2)
COMPUTE_TYPES = {
    "float32": "float32",
    "int8": "int8_float32",
    "bfloat16": "bfloat16",
    "float16": "float16",
}
"""Number format of the weights → CTranslate2's name for it; what int8 leaves over is float32, as
with torch."""
_WRITERS = ("ForConditionalGeneration", "MTModel", "WithLMHeadModel")


def check_engine(engine: str | None, reference: Reference) -> str:
    """The engine asked for, torch where none was. Raises InputError, or WrongTask for a module of
    the notebook."""
    engine = engine or TORCH
    if engine not in ENGINES:
        raise InputError(f"there is no engine {engine!r}: use {' or '.join(ENGINES)}")
    if engine == TORCH:
        return engine
    if reference.kind == "openai":
        raise InputError(f"{reference} runs at its endpoint: leave out engine")
    if reference.kind == "variable":
        raise WrongTask(
            f"{reference} is a module of the notebook, which torch computes: leave out the "
            "engine, or save it to a folder with save_pretrained and name that"
        )
    if importlib.util.find_spec("ctranslate2") is None:
        raise InputError(
            f"the engine ctranslate2 is not installed: {install_hint('fast')}, "
            "or leave the engine out"
        )
    return engine


def check_folder(reference: Reference, facts: FolderFacts) -> None:
    """Raises WrongTask or UnsafeModel for a folder that CTranslate2 is not used for."""
    if facts.pickled or facts.remote_code:
        what = "pickled weights" if facts.pickled else "its own Python code"
        raise UnsafeModel(
            f"{reference} has {what}: the engine ctranslate2 takes safetensors without code only"
        )
    made = str((facts.config.get("architectures") or [""])[0])
    if not family_of(facts.family).ctranslate2 or (made and not made.endswith(_WRITERS)):
        names = [name for name, family in FAMILIES.items() if family.ctranslate2]
        what = "a model of this project" if facts.is_native else f"a {made or facts.family}"
        raise WrongTask(
            f"{reference} is {what}, which torch computes; the engine ctranslate2 is for "
            f"encoder-decoders that write, of the families {', '.join(names)}: leave the engine "
            "out, or choose one of those"
        )


def load_key(reference: Reference, dtype: Any, device: str | None, usual: str, engine: str) -> Key:
    """(reference, device, number format, engine) of a load; `usual` is the device where none is
    given.

    Raises InputError for a format that the device does not compute.
    """
    from llm_magics.models.folder.open import resolve_dtype

    if engine == TORCH:
        place = device or usual
        return (
            str(reference),
            place,
            str(resolve_dtype(dtype, place, reference)).removeprefix("torch."),
            engine,
        )
    place = device or (usual if usual.partition(":")[0] in ("cpu", "cuda") else "cpu")
    return str(reference), place, _format(reference, dtype, place), engine


def _format(reference: Reference, dtype: Any, device: str) -> str:
    """The number format CTranslate2 keeps weights in on a device; what is torch's usual one there,
    or else float32."""
    import ctranslate2

    from llm_magics.models.folder.open import resolve_dtype

    kind = device.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise InputError(
            f"the engine ctranslate2 computes on cpu and cuda, not on {device}: use --device cpu"
        )
    computed = ctranslate2.get_supported_compute_types(kind)
    there = [name for name, compute_type in COMPUTE_TYPES.items() if compute_type in computed]
    short = parse_number_format(dtype) if isinstance(dtype, str) else dtype
    # torch has int8 on the CPU only, CTranslate2 on both
    place = "cpu" if str(short).endswith("int8") else device
    wanted = str(resolve_dtype(dtype, place, reference)).removeprefix("torch.")
    if wanted in there:
        return wanted
    if short in (None, "auto"):
        return "float32"
    raise InputError(
        f"the engine ctranslate2 does not compute {wanted} on {device}: use {' or '.join(there)}"
    )


def needed_bytes(key: Key, facts: FolderFacts) -> int:
    """Bytes to set aside on the device for loading the folder."""
    import torch

    if key[3] == TORCH:
        return facts.needed_bytes(load_itemsize(getattr(torch, key[2])))
    from llm_magics.models.backends.ctranslate2.store import bytes_while_loading

    return bytes_while_loading(facts, key[2], key[1])


def open_with(key: Key, reference: Reference, facts: FolderFacts) -> LoadedModel:
    """Reads a judged folder into memory, as `loading.open_model` does, by the key's engine."""
    import torch

    if key[3] == TORCH:
        from llm_magics.models.folder.open import open_model

        return open_model(reference, facts, dtype=getattr(torch, key[2]), device=key[1])
    from llm_magics.models.backends.ctranslate2.model import open_converted

    return open_converted(reference, facts, number_format=key[2], device=key[1])


def bytes_per_weight(key: Key) -> int:
    """Bytes a weight takes at most while a model that is not here yet is loaded."""
    import torch

    return (
        load_itemsize(getattr(torch, key[2])) if key[3] == TORCH else 10
    )  # 2.5 times float32, see conversion_store


def engine_note(key: Key, reference: Reference, facts: FolderFacts) -> str:
    """What a plan says of the engine: whether there is something to convert. Raises as
    `check_folder`."""
    if key[3] == TORCH:
        return ""
    from llm_magics.models.backends.ctranslate2.store import conversions_root, find_conversion

    check_folder(reference, facts)
    if find_conversion(facts, key[2]) is not None:
        return "it has been converted for CTranslate2"
    return (
        "it is converted for CTranslate2 first, which needs this memory; the result is kept in "
        f"{conversions_root()}"
    )
