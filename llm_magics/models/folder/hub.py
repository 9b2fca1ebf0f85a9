"""Fetching models from the hub: only the files that are needed, only in safe forms, with clear
failures."""

from __future__ import annotations

import contextlib
import difflib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llm_magics.errors import DoesNotFit, HubUnreachable, ModelError, ModelNotFound, UnsafeModel
from llm_magics.models.folder.hub_cache import (
    CONVERTED,
    cache_root,
    cached_models,
    endpoint,
    hub_answers,
    is_offline,
    within,
)
from llm_magics.models.manager.device import describe_bytes
from llm_magics.models.reference import Reference

__all__ = ["HubModel", "describe", "fetch"]

METADATA_TIMEOUT_S = 10.0
_CONVERTER = (
    "SFconvertbot"  # the hub's own account that opens safetensors conversions as pull requests
)
_SMALL_FILES = {
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "target_vocab.json",
    "source.spm",
    "target.spm",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    # how a sentence encoder pools
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
}
_SAFE = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")
_PICKLE = re.compile(r"pytorch_model(-\d{5}-of-\d{5})?\.bin(\.index\.json)?")


@dataclass(frozen=True)
class HubModel:
    """A model of the hub: the files that would be fetched."""

    reference: Reference
    commit: str
    """The commit all files are taken from."""
    files: dict[str, int]
    """Name -> bytes, in the order in which they are fetched: weights last."""
    converted: bool = False
    """Whether the weights come from the hub's own conversion to safetensors."""

    @property
    def download_bytes(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weight files."""
        return sum(
            size for name, size in self.files.items() if name.endswith((".safetensors", ".bin"))
        )


def describe(
    reference: Reference, *, allow_pickle: bool = False, timeout_s: float = METADATA_TIMEOUT_S
) -> HubModel:
    """What the hub has under a reference; nothing is downloaded.

    Raises ModelNotFound, UnsafeModel (only pickled weights) or HubUnreachable.
    """
    if is_offline():
        raise HubUnreachable(
            f"{reference} is not in the cache and the hub is switched off (HF_HUB_OFFLINE): "
            "unset it, give a local folder, or use an embedded model"
        )
    if not hub_answers():
        raise HubUnreachable(
            f"{endpoint()} does not answer and {reference} is not in the cache: "
            "check the network, give a local folder, or use an embedded model"
        )
    with _translated(reference):
        model = within(timeout_s, lambda: _ask(reference, allow_pickle), str(reference))
    if not any(name == "config.json" for name in model.files):
        raise ModelNotFound(f"{reference} has no config.json: it is not a model for transformers")
    return model


def _ask(reference: Reference, allow_pickle: bool) -> HubModel:
    from huggingface_hub import HfApi

    api = HfApi()
    found = _listing(api, reference, reference.revision)
    names = set(found[1])
    if any(_SAFE.fullmatch(name) for name in names):
        return HubModel(reference, found[0], _wanted(found[1], _SAFE))
    if not any(_PICKLE.fullmatch(name) for name in names):
        raise ModelNotFound(f"{reference} holds no weights that PyTorch can read")
    conversion = _conversion(api, reference) if reference.revision in (None, "main") else None
    if conversion:
        converted = _listing(api, reference, conversion)
        if any(_SAFE.fullmatch(name) for name in converted[1]):
            return HubModel(reference, converted[0], _wanted(converted[1], _SAFE), converted=True)
    if allow_pickle:
        return HubModel(reference, found[0], _wanted(found[1], _PICKLE))
    raise UnsafeModel(
        f"{reference} has only pytorch_model.bin, a pickle that can run code: choose a model "
        f"with safetensors, or, if you trust its authors, %models load {reference} --allow-pickle"
    )


def _listing(api, reference: Reference, revision: str | None) -> tuple[str, dict[str, int]]:
    info = api.model_info(reference.name, revision=revision, files_metadata=True)
    return info.sha, {item.rfilename: item.size or 0 for item in info.siblings or ()}


def _wanted(files: dict[str, int], weights: re.Pattern[str]) -> dict[str, int]:
    small = {name: size for name, size in sorted(files.items()) if name in _SMALL_FILES}
    return small | {name: size for name, size in sorted(files.items()) if weights.fullmatch(name)}


def _conversion(api, reference: Reference) -> str | None:
    """The git reference of the hub's own safetensors conversion, if there is one. Only its bot is
    believed."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        for discussion in api.get_repo_discussions(
            reference.name,
            author=_CONVERTER,
            discussion_type="pull_request",
            discussion_status="open",
        ):
            if discussion.author == _CONVERTER and discussion.git_reference:
                return discussion.git_reference
    except (
        HfHubHTTPError,
        KeyError,
    ):  # discussions are closed to us or unreadable: then there is no conversion
        return None
    return None


def fetch(model: HubModel) -> Path:
    """Downloads what is missing of a model; returns its folder in the cache.

    Files go through huggingface_hub, which resumes partial downloads and locks against other
    processes.
    """
    from huggingface_hub import hf_hub_download

    root = cache_root()
    _check_disk(root, model)
    with _translated(model.reference):
        for (
            name
        ) in model.files:  # one after the other, in this thread: Ctrl-C works, weights come last
            path = hf_hub_download(
                model.reference.name, name, revision=model.commit, cache_dir=root
            )
    folder = Path(path).parent
    _remember(root, model)
    return folder


def _remember(root: Path, model: HubModel) -> None:
    """Notes the commit under its revision, so that the next load finds it without asking the
    hub."""
    refs = root / f"models--{model.reference.name.replace('/', '--')}" / "refs"
    ref = refs / (CONVERTED if model.converted else model.reference.revision or "main")
    if ref.name != model.commit:
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(model.commit)


def _check_disk(root: Path, model: HubModel) -> None:
    place = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if model.download_bytes > free:
        raise DoesNotFit(
            f"{model.reference} has {describe_bytes(model.download_bytes)} to download, "
            f"{place} has {describe_bytes(free)} free: free some space or set HF_HOME to another "
            "disk"
        )


@contextlib.contextmanager
def _translated(reference: Reference) -> Iterator[None]:
    """The errors of huggingface_hub as ours, told apart by what the user can do."""
    from huggingface_hub import errors

    try:
        yield
    except ModelError:
        raise
    except errors.GatedRepoError:
        raise ModelNotFound(
            f"{reference} is gated: accept its terms on its page at {endpoint()} and log in with "
            "`hf auth login`"
        ) from None
    except errors.RevisionNotFoundError:
        raise ModelNotFound(f"{reference.name} has no revision {reference.revision!r}") from None
    except errors.RepositoryNotFoundError:
        raise ModelNotFound(_unknown(reference)) from None
    except errors.HfHubHTTPError as error:
        raise HubUnreachable(f"{endpoint()} {_reason(error)} when asked for {reference}") from None
    except (OSError, ValueError, errors.LocalEntryNotFoundError) as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise HubUnreachable(
            f"{reference} could not be fetched from {endpoint()}: {first[:160]}"
        ) from None
    except Exception as error:
        if type(error).__module__.split(".")[0] not in (
            "httpx2",
            "httpcore2",
            "httpx",
            "httpcore",
        ):  # older: httpx
            raise
        raise HubUnreachable(
            f"{endpoint()} broke off ({type(error).__name__}): try again"
        ) from None


def _reason(error) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 429:
        return "refuses more requests for now (429, rate limit): wait a little or log in"
    return f"answered with status {status}"


def _unknown(reference: Reference) -> str:
    from llm_magics.models.catalog import catalogued

    known = sorted({*cached_models(), *catalogued()})
    near = difflib.get_close_matches(reference.name, known, n=1, cutoff=0.8)
    hint = f"did you mean {near[0]}?" if near else "check the spelling, or log in if it is private"
    return f"the hub has no model {reference.name}: {hint}"
