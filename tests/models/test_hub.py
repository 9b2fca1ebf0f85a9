"""The hub, played by a server on this machine; each client is a process of its own, as a kernel
would be."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

from llm_magics.models.folder import hub_cache
from llm_magics.models.reference import Reference


class Hub(ThreadingHTTPServer):
    """Serves `repositories`: {(name, revision): {file: bytes}}; notes every request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.repositories, self.statuses, self.discussions, self.requests = {}, {}, {}, []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def publish(self, name, folder, revision="main", leave_out=()):
        files = {
            path.name: path.read_bytes() for path in folder.iterdir() if path.name not in leave_out
        }
        self.repositories[name, revision] = files
        return commit_of(name, revision)


def commit_of(name, revision):
    return hashlib.sha1(f"{name}@{revision}".encode()).hexdigest()


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path).strip("/")
        self.server.requests.append((self.command, path))
        if not path:
            return self.reply(200, b"hub")
        parts = path.split("/")
        if parts[:2] == ["api", "models"]:
            return self.metadata("/".join(parts[2:4]), parts[4:])
        if parts[2:3] == ["resolve"]:
            return self.file("/".join(parts[:2]), parts[3:])
        return self.reply(404, b"")

    def metadata(self, name, rest):
        if name in self.server.statuses:
            status, code = self.server.statuses[name]
            return self.reply(status, b"{}", {"X-Error-Code": code})
        if rest[:1] == ["discussions"]:
            found = self.server.discussions.get(name, [])
            return self.reply(
                200, json.dumps({"discussions": found, "count": len(found), "start": 0}).encode()
            )
        revision = "/".join(rest[1:]) or "main"
        files = self.files(name, revision)
        if files is None:
            known = any(key[0] == name for key in self.server.repositories)
            return self.reply(
                404, b"{}", {"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"}
            )
        siblings = [{"rfilename": file, "size": len(data)} for file, data in files.items()]
        info = {
            "id": name,
            "modelId": name,
            "sha": self.commit(name, revision),
            "siblings": siblings,
            "private": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
        }
        return self.reply(200, json.dumps(info).encode())

    def files(self, name, revision):
        for (other, known), files in self.server.repositories.items():
            if other == name and revision in (known, commit_of(name, known)):
                return files
        return None

    def commit(self, name, revision):
        return revision if len(revision) == 40 else commit_of(name, revision)

    def file(self, name, rest):
        files = self.files(name, rest[0]) or {}
        data = files.get("/".join(rest[1:]))
        if data is None:
            return self.reply(404, b"", {"X-Error-Code": "EntryNotFound"})
        extra = {
            "ETag": f'"{hashlib.sha1(data).hexdigest()}"',
            "X-Repo-Commit": self.commit(name, rest[0]),
        }
        return self.reply(200, data, extra)

    def reply(self, status, body, headers=()):
        self.send_response(status)
        for key, value in dict(headers).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def hub():
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def silent():
    """A server that accepts and never answers."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=20)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def client(url, home, script, **extra):
    """Runs a script against the hub at `url`; what it prints last is JSON."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("HF_", "TRANSFORMERS_"))
    }
    environment |= {
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "OMP_NUM_THREADS": "1",
        "NO_PROXY": "*",
    } | extra
    prelude = (
        "import json\nfrom llm_magics.errors import *\nfrom llm_magics.models.reference import "
        "parse_reference as ref\n"
        "from llm_magics.models.folder.hub import describe, fetch\nfrom llm_magics.models.folder.hub_cache "
        "import *\n"
        "def refusal(work):\n"
        "    try:\n        work()\n"
        "    except LLMMagicsError as error:\n        return [type(error).__name__, str(error)]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", prelude + script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_a_model_is_fetched_once_loaded_and_then_needs_no_hub(hub, models, tmp_path):
    commit = hub.publish("Helsinki-NLP/opus-mt-en-de", models("marian"))
    hub.repositories["Helsinki-NLP/opus-mt-en-de", "main"] |= {
        "pytorch_model.bin": b"never fetched",
        "evil.py": b"never fetched",
        "README.md": b"never fetched",
    }
    script = """
from llm_magics.models.manager.manager import ModelManager
manager = ModelManager(device="cpu")
name = "Helsinki-NLP/opus-mt-en-de"
before = manager.plan(name)
with manager.lease(name) as model:
    shown = [model.revision, model.source_language, model.target_language, model.family]
after = ModelManager(device="cpu").plan(name)
print(json.dumps({"shown": shown, "plans": [before.cached, before.download_bytes, after.cached, after.download_bytes],
                  "needed": [before.needed_bytes, after.needed_bytes], "cached": cached_models(),
                  "files": sorted(path.name for path in model.folder.iterdir()), "check": manager.check()}))
"""
    got = client(hub.url, tmp_path, script)
    wanted = {path.name: path.stat().st_size for path in models("marian").iterdir()}
    assert got["shown"] == [commit, "en", "de", "marian"]
    assert got["plans"] == [False, sum(wanted.values()), True, 0]
    assert got["files"] == sorted(wanted)
    assert got["cached"] == ["Helsinki-NLP/opus-mt-en-de"]
    assert got["check"] == []
    assert (
        abs(got["needed"][0] - got["needed"][1]) < 20_000
    )  # the header of the file is not weights
    hub.requests.clear()
    again = (
        "from llm_magics.models.folder.open import "
        "locate\nprint(json.dumps(locate(ref('{name}')).family))"
    )
    assert client(hub.url, tmp_path, again.format(name="Helsinki-NLP/opus-mt-en-de")) == "marian"
    assert hub.requests == []


def test_a_revision_is_fetched_from_its_commit(hub, models, tmp_path):
    commit = hub.publish("a/b", models("bert"), revision="v2")
    got = client(
        hub.url,
        tmp_path,
        """
model = describe(ref("a/b@v2"))
folder = fetch(model)
print(json.dumps([model.commit, str(folder), str(cached_folder(ref("a/b@v2"))), cached_folder(ref("a/b")) is None,
                  refusal(lambda: describe(ref("a/b@v3")))]))
""",
    )
    assert got[0] == commit
    assert got[1].endswith(commit)
    assert got[2] == got[1]
    assert got[3] is True
    assert got[4] == ["ModelNotFound", "a/b has no revision 'v3'"]


def test_each_refusal_of_the_hub_says_what_to_do(hub, models, tmp_path):
    hub.publish("Helsinki-NLP/opus-mt-en-de", models("bert"))
    hub.statuses |= {
        "gated/model": (403, "GatedRepo"),
        "busy/model": (429, ""),
        "down/model": (503, ""),
    }
    hub.repositories["no/weights", "main"] = {"config.json": b"{}"}
    hub.repositories["no/config", "main"] = {"model.safetensors": b""}
    got = client(
        hub.url,
        tmp_path,
        """
names = ["Helsinki-NLP/opus-mt-en-dee", "gated/model", "busy/model", "down/model", "no/weights", "no/config"]
print(json.dumps({name: refusal(lambda: describe(ref(name))) for name in names}))
""",
    )
    kinds = {name: answer[0] for name, answer in got.items()}
    assert kinds == {
        "Helsinki-NLP/opus-mt-en-dee": "ModelNotFound",
        "gated/model": "ModelNotFound",
        "busy/model": "HubUnreachable",
        "down/model": "HubUnreachable",
        "no/weights": "ModelNotFound",
        "no/config": "ModelNotFound",
    }
    assert "did you mean Helsinki-NLP/opus-mt-en-de?" in got["Helsinki-NLP/opus-mt-en-dee"][1]
    assert "log in" in got["gated/model"][1]
    assert "rate limit" in got["busy/model"][1]
    assert "503" in got["down/model"][1]


def test_a_pickle_only_model_is_refused_before_it_is_downloaded(hub, tmp_path):
    hub.repositories["a/pickle", "main"] = {
        "config.json": b"{}",
        "pytorch_model.bin": b"pickle",
        "vocab.json": b"{}",
    }
    hub.discussions["a/pickle"] = [discussion(1, "somebody-else")]
    hub.repositories["a/pickle", "refs/pr/1"] = {
        "config.json": b"{}",
        "model.safetensors": b"planted",
    }
    got = client(
        hub.url,
        tmp_path,
        """
print(json.dumps([refusal(lambda: describe(ref("a/pickle"))),
                  list(describe(ref("a/pickle"), allow_pickle=True).files)]))
""",
    )
    assert got[0][0] == "UnsafeModel"
    assert "--allow-pickle" in got[0][1]
    assert got[1] == ["config.json", "vocab.json", "pytorch_model.bin"]
    assert not any("resolve" in path for _, path in hub.requests)


def discussion(number, author):
    return {
        "title": "Adding `safetensors` variant of this model",
        "num": number,
        "author": {"name": author},
        "createdAt": "2024-01-01T00:00:00.000Z",
        "status": "open",
        "isPullRequest": True,
        "repo": {"name": "a/pickle", "type": "model"},
    }


def test_the_hubs_own_conversion_to_safetensors_is_used_and_found_again(hub, models, tmp_path):
    folder = models("bert")
    hub.publish("a/pickle", folder, leave_out=("model.safetensors",))
    hub.repositories["a/pickle", "main"]["pytorch_model.bin"] = b"pickle"
    hub.discussions["a/pickle"] = [discussion(1, "somebody-else"), discussion(2, "SFconvertbot")]
    commit = hub.publish("a/pickle", folder, revision="refs/pr/2")
    got = client(
        hub.url,
        tmp_path,
        """
model = describe(ref("a/pickle"))
folder = fetch(model)
print(json.dumps([model.converted, model.commit, str(cached_folder(ref("a/pickle"))) == str(folder)]))
""",
    )
    assert got == [True, commit, True]


def test_a_silent_hub_is_given_up_and_the_message_says_what_else_there_is(silent, tmp_path):
    got = client(
        silent,
        tmp_path,
        """
print(json.dumps([hub_answers(0.3), refusal(lambda: describe(ref("a/b")))]))
""",
    )
    assert got[0] is False
    assert got[1][0] == "HubUnreachable"
    assert "embedded" in got[1][1]


def test_the_default_patience_is_three_seconds(silent, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", silent)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    waited = []
    monkeypatch.setattr(
        hub_cache, "within", lambda seconds, work, what: waited.append(seconds) or work
    )
    hub_cache.hub_answers()
    assert waited == [3.0]


def test_an_answer_that_drips_is_cut_off_at_the_total_deadline():
    from llm_magics.errors import HubUnreachable

    never = threading.Event()
    with pytest.raises(HubUnreachable, match=r"0\.2 s"):
        hub_cache.within(0.2, never.wait, "a slow drip")
    never.set()


def test_a_closed_port_and_a_switched_off_hub_are_told_apart(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    script = 'print(json.dumps(refusal(lambda: describe(ref("a/b")))))'
    assert "does not answer" in client(url, tmp_path, script)[1]
    assert "HF_HUB_OFFLINE" in client(url, tmp_path, script, HF_HUB_OFFLINE="1")[1]


def test_a_half_fetched_model_does_not_count_as_cached(hub, models, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--a--b" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (tmp_path / "models--a--b" / "refs").mkdir()
    (tmp_path / "models--a--b" / "refs" / "main").write_text("0" * 40)
    reference = Reference("hub", "a/b")
    for name, is_whole in (("config.json", False), ("tokenizer.json", False)):
        (snapshot / name).write_text("{}")
        assert (hub_cache.cached_folder(reference) is not None) is is_whole
    parts = {
        "weight_map": {
            "x": "model-00001-of-00002.safetensors",
            "y": "model-00002-of-00002.safetensors",
        }
    }
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(parts))
    (snapshot / "model-00001-of-00002.safetensors").write_bytes(b"")
    assert hub_cache.cached_folder(reference) is None
    assert hub_cache.cached_folder(reference, whole=False) == snapshot
    (snapshot / "model-00002-of-00002.safetensors").write_bytes(b"")
    assert hub_cache.cached_folder(reference) == snapshot
    assert hub_cache.cached_models() == ["a/b"]
