"""Models at an endpoint: a real server on loopback that misbehaves in every way that was thought
of."""

import gzip
import importlib.util
import json
import socket
import threading
import time
from pathlib import Path

import pytest

from llm_magics.errors import EndpointError, InputError, ModelNotFound, TooLong, WrongTask
from llm_magics.models.backends.openai.endpoint import Endpoint
from llm_magics.models.generate.generate import count_tokens, generate
from llm_magics.models.generate.sample import continue_texts
from llm_magics.models.generate.sampling import SamplingParams
from llm_magics.models.generate.types import SamplingOptions
from llm_magics.models.manager.manager import ModelManager
from llm_magics.models.read.next_tokens import score_tokens

_spec = importlib.util.spec_from_file_location(
    "badly_behaved", Path(__file__).with_name("badly_behaved.py")
)
bad = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bad)
KEY = "sk-canary-0123456789"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("LLM_MAGICS_ENDPOINT", "LLM_MAGICS_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def server():
    with bad.running() as server:
        yield server


@pytest.fixture
def keyed(environment, server):
    """The same server, with a key of its own in the environment."""
    environment.setenv("LLM_MAGICS_ENDPOINT", server.url)
    environment.setenv("LLM_MAGICS_API_KEY", KEY)
    return server


@pytest.fixture(scope="module")
def manager():
    manager = ModelManager(device="cpu")
    yield manager
    manager.close()


@pytest.fixture
def ask(server, manager):
    """ask("prompt", ...) -> what the model at the server answers, or what is raised; patience as
    given."""

    def ask(
        *prompts,
        deadline_s=20.0,
        backoff_s=0.01,
        tries=4,
        max_bytes=1 << 20,
        parallel=4,
        url=None,
        model="tiny",
        **options,
    ):
        endpoint = Endpoint(url or server.url, deadline_s, max_bytes, tries, backoff_s, parallel)
        with manager.lease(f"openai:{model}", endpoint=endpoint) as leased:
            return [one.text for one in generate(leased, list(prompts or ["Hello"]), **options)]

    return ask


def refusal(ask, *prompts, of=EndpointError, **options):
    """The one line of the error."""
    with pytest.raises(of) as caught:
        ask(*prompts, **options)
    message = str(caught.value)
    assert type(caught.value) is of
    assert "\n" not in message
    assert len(message) < 500
    assert KEY not in repr(caught.value)
    assert caught.value.__cause__ is None
    return message


# ---------------------------------------------------------------------- answers


def test_an_answer_is_put_together_from_its_events(server, ask):
    server.acts = [bad.says("Gu", "ten ", "Tag.")]
    assert ask("Translate: hello") == ["Guten Tag."]
    ((path, headers, body),) = server.requests
    assert path == "/v1/chat/completions"
    assert "Authorization" not in headers
    assert body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "Translate: hello"}],
        "stream": True,
        "temperature": 0,
        "max_tokens": 2048,
    }


def test_a_stream_that_says_why_it_ends_needs_no_done(server, ask):
    server.acts = [bad.says("fine", done=False)]
    assert ask() == ["fine"]


def test_a_server_that_does_not_stream_is_understood(server, ask):
    server.acts = [
        lambda h: h.whole({"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]})
    ]
    assert ask() == ["whole"]


def test_thoughts_are_no_part_of_the_answer_and_may_use_up_its_tokens_once(server, ask):
    thinks = {"choices": [{"delta": {"reasoning_content": "hm"}, "finish_reason": "length"}]}
    server.acts = [lambda h: h.events(thinks), bad.says("here")]
    assert ask(max_new_tokens=10) == ["here"]
    assert [body["max_tokens"] for body in server.bodies] == [10, 10 + 4096]
    server.acts = [lambda h: h.events(thinks)]
    assert "thinking off" in refusal(ask)


def test_many_prompts_are_answered_in_their_order_a_few_at_a_time(server, ask):
    busy, most, lock = [], [], threading.Lock()
    gate = threading.Barrier(3, timeout=20)

    def echo(handler):
        with lock:
            busy.append(1)
            most.append(len(busy))
        gate.wait()  # goes on only with three at the same time
        time.sleep(0.1)  # a fourth would come meanwhile
        with lock:
            busy.pop()
        bad.echoes(handler)

    server.acts = [echo]
    prompts = [f"prompt {number}" for number in range(9)]
    assert ask(*prompts, parallel=3) == prompts
    assert max(most) == 3


def test_text_is_told_while_it_grows_in_the_thread_that_asked(server, ask):
    seen, threads, go_on = [], set(), threading.Event()

    def slowly(handler):
        handler.events(bad.delta("one "))
        go_on.wait(20)
        for event in (bad.delta("two "), bad.delta("three", "stop")):
            handler.event(event)

    def on_text(index, text, final):
        seen.append((index, text, final))
        threads.add(threading.get_ident())

    def stop():
        go_on.set()
        return False

    server.acts = [slowly]
    assert ask(on_text=on_text, stop=stop) == ["one two three"]
    assert threads == {threading.get_ident()}
    assert seen[-1] == (0, "one two three", True)
    assert all("one two three".startswith(text) for _, text, _ in seen)


def test_stopping_closes_the_connection_and_keeps_what_there_is(server, manager):
    hung_up = threading.Event()

    def endless(handler):
        handler.events()
        try:
            while True:
                handler.event(bad.delta("and on "))
                if hung_up.wait(0.02):
                    return
        except OSError:
            hung_up.set()
            raise

    server.acts = [endless]
    seen = []
    with manager.lease("openai:tiny", endpoint=server.url) as model:
        (done,) = generate(
            model, ["Go"], on_text=lambda *news: seen.append(news), stop=lambda: len(seen) > 1
        )
    assert not done.finished
    assert done.text.startswith("and on and on")
    assert hung_up.wait(20)  # the server notices


def test_an_interrupt_ends_every_connection_and_leaves_the_model_usable(server, ask):
    def interrupt():
        raise KeyboardInterrupt

    server.acts = [lambda handler: handler.server.released.wait(20)]
    server.released = threading.Event()
    with pytest.raises(KeyboardInterrupt):
        ask("a", "b", stop=interrupt)
    server.released.set()
    server.acts = [bad.says("again")]
    assert ask() == ["again"]


def test_settings_are_called_what_endpoints_call_them(server, ask):
    ask(
        extra={
            "do_sample": True,
            "temperature": 0.7,
            "top_p": 0.9,
            "seed": 3,
            "stop_strings": ["\n"],
        },
        max_new_tokens=9,
    )
    ask(extra={"do_sample": False, "temperature": 0.7, "top_p": 0.9})
    ask(extra={"top_k": 40})
    without = [
        {name: value for name, value in body.items() if name not in ("model", "messages", "stream")}
        for body in server.bodies
    ]
    assert without == [
        {"temperature": 0.7, "top_p": 0.9, "seed": 3, "stop": ["\n"], "max_tokens": 9},
        {"temperature": 0, "max_tokens": 2048},
        {"top_k": 40, "max_tokens": 2048},
    ]
    with pytest.raises(InputError, match="no_repeat_ngram_size"):
        ask(extra={"no_repeat_ngram_size": 3})
    with pytest.raises(WrongTask, match="beams"):
        ask(num_beams=4)


def test_what_cannot_be_shown_is_replaced_on_both_ways(server, ask):
    server.acts = [bad.says("a\ud800b\x00c")]
    assert ask("x\ud800y\x00z") == ["a\ufffdb\ufffdc"]
    assert server.bodies[0]["messages"][0]["content"] == "x\ufffdy\ufffdz"


def test_candidates_are_asked_for_one_by_one_with_seeds_of_their_own(server, manager):
    server.acts = [bad.says("so it goes ST", "OP on")]
    chats = [[{"role": "user", "content": word}] for word in ("one", "two")]
    wanted = SamplingOptions(SamplingParams(temperature=0.8, top_p=0.9), 7, ("STOP",), 2)
    seen = []
    with manager.lease("openai:tiny", endpoint=server.url) as model:
        found = continue_texts(
            model, chats, wanted, seeds=[10, 20], on_text=lambda *news: seen.append(news)
        )
        for raw in (["plain"], [chats[0], "plain"]):
            with pytest.raises(WrongTask, match="raw"):
                continue_texts(model, raw, wanted, seeds=[1, 2])
    assert [[(one.text, one.finish, one.stopped_by) for one in row] for row in found] == [
        [("so it goes ", "stop string", "STOP")] * 2
    ] * 2
    assert {text for _, _, text in seen} == {"so it goes "}
    asked = sorted((body["messages"][0]["content"], body["seed"]) for body in server.bodies)
    assert asked == [("one", 10), ("one", 11), ("two", 20), ("two", 21)]
    settings = ("temperature", "top_p", "stop", "max_tokens")
    assert {str([body[name] for name in settings]) for body in server.bodies} == {
        "[0.8, 0.9, ['STOP'], 7]"
    }


@pytest.mark.parametrize(
    ("ending", "finish", "stopped_by"),
    [
        ({"finish_reason": "length"}, "length", ""),
        ({"finish_reason": "stop"}, "end", ""),
        ({"finish_reason": "stop", "stop_reason": "END"}, "stop string", "END"),
        ({"finish_reason": "stop", "stop_reason": 2}, "end", ""),
    ],
)
def test_why_a_candidate_ended_is_what_the_endpoint_says(
    server, manager, ending, finish, stopped_by
):
    server.acts = [lambda h: h.events({"choices": [{"delta": {"content": "text"}, **ending}]})]
    with manager.lease("openai:tiny", endpoint=server.url) as model:
        ((found,),) = continue_texts(
            model, [[{"role": "user", "content": "x"}]], SamplingOptions(stops=("END",)), seeds=[1]
        )
    assert (found.text, found.finish, found.stopped_by, found.n_tokens) == (
        "text",
        finish,
        stopped_by,
        1,
    )
    assert "seed" not in server.bodies[0]  # the most probable text needs none


# ---------------------------------------------------------------------- tries


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_fails_for_now_is_tried_again(server, ask, status):
    server.acts = [bad.refuses(status), bad.refuses(status), bad.says("at last")]
    assert ask() == ["at last"]
    assert len(server.requests) == 3


def test_a_connection_that_ends_before_an_answer_is_tried_again(server, ask):
    server.acts = [
        lambda h: h.connection.shutdown(socket.SHUT_RDWR),
        lambda h: h.events(),
        bad.says("at last"),
    ]
    assert ask() == ["at last"]


def test_what_goes_on_failing_is_given_up_and_the_server_quoted(server, ask):
    server.acts = [bad.refuses(500, "out of\nmemory")]
    message = refusal(ask, tries=3)
    assert "500" in message
    assert "“out of memory”" in message
    assert "3 tries" in message
    assert len(server.requests) == 3


def test_the_wait_that_is_asked_for_is_kept(server, ask):
    came = []

    def note(act):
        return lambda handler: (came.append(time.monotonic()), act(handler))

    server.acts = [note(bad.refuses(429, Retry_After="0.3")), note(bad.says("ok"))]
    assert ask(backoff_s=0.0) == ["ok"]
    assert came[1] - came[0] >= 0.3


@pytest.mark.parametrize("wait", ["3600", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_wait_beyond_the_deadline_is_not_begun(server, ask, wait):
    server.acts = [bad.refuses(429, "slow down", Retry_After=wait)]
    message = refusal(ask)
    assert "429" in message
    assert "deadline" in message
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_one_line(ask):
    message = refusal(ask, url=f"http://127.0.0.1:{bad.free_port()}/v1", tries=2)
    assert "cannot be reached" in message
    assert "server running" in message


# ---------------------------------------------------------------------- limits


def test_an_answer_that_drips_is_ended_by_the_deadline(server, ask):
    def drip(handler):
        handler.events()
        while True:
            handler.event(bad.delta("drip "))
            handler.server.pause.wait(0.1)

    server.pause = threading.Event()
    server.acts = [drip]
    message = refusal(ask, deadline_s=0.6)
    assert "0.6 s" in message
    assert "characters of its answer" in message


def test_silence_is_ended_by_the_deadline(server, ask):
    server.released = threading.Event()
    server.acts = [lambda handler: handler.server.released.wait(20)]
    assert "without an answer" in refusal(ask, deadline_s=0.3)
    server.released.set()


def test_comments_that_keep_a_connection_alive_do_not_keep_it_beyond_the_deadline(server, ask):
    def comments(handler):
        handler.events()
        while True:
            handler.wfile.write(b": still here\n\n")
            handler.wfile.flush()
            handler.server.pause.wait(0.05)

    server.pause = threading.Event()
    server.acts = [comments]
    assert "0.4 s" in refusal(ask, deadline_s=0.4)


def test_a_huge_answer_is_stopped_in_many_events_in_one_and_in_json(server, ask):
    def endless(handler):
        handler.events()
        while True:
            handler.event(bad.delta("x" * 10_000))

    def one_event(handler):
        handler.events()
        while True:
            handler.wfile.write(b"data: " + b"x" * 100_000)

    def json_body(handler):
        handler.start(Content_Type="application/json")
        while True:
            handler.wfile.write(b"[" * 100_000)

    for act in (endless, one_event, json_body):
        server.acts = [act]
        assert "longer than the 300,000 bytes" in refusal(ask, max_bytes=300_000)


def test_a_compressed_answer_is_refused_before_it_is_unpacked(server, ask):
    bomb = gzip.compress(b"data: " + b"0" * 50_000_000)
    server.acts = [lambda h: h.whole(bomb, kind="text/event-stream", Content_Encoding="gzip")]
    assert "compressed" in refusal(ask)
    assert server.requests[0][1]["Accept-Encoding"] == "identity"


# ---------------------------------------------------------------------- nonsense


@pytest.mark.parametrize(
    "event",
    [
        "not json",
        "[1, 2]",
        '{"choices": 3}',
        '{"choices": [{"delta": {"content": [1]}}]}',
        '{"choices": ["x"]}',
        "{}",
        "null",
        "[" * 5_000,
        '{"choices": [{"delta": {"content": 7}}]}',
    ],
)
def test_events_that_are_no_chat_completion_are_one_line(server, ask, event):
    server.acts = [lambda h: h.events(event)]
    assert "no chat completion" in refusal(ask)


def test_an_error_within_a_stream_is_said(server, ask):
    for error in ({"error": {"message": "CUDA out of memory"}}, {"error": "CUDA out of memory"}):
        server.acts = [lambda h, error=error: h.events(bad.delta("so"), error)]
        assert "“CUDA out of memory”" in refusal(ask)


def test_status_200_with_an_error_in_its_body_is_an_error(server, ask):
    server.acts = [lambda h: h.whole({"error": {"message": "no capacity"}})]
    assert "no capacity" in refusal(ask)


def test_a_page_in_place_of_an_answer_points_at_the_address(server, ask):
    server.acts = [lambda h: h.whole(b"<html>Welcome</html>", kind="text/html")]
    message = refusal(ask)
    assert "text/html" in message
    assert "/v1" in message


def test_a_connection_cut_within_the_answer_is_no_answer_and_is_not_asked_for_again(server, ask):
    def cut(handler):
        handler.start(Content_Type="text/event-stream", Transfer_Encoding="chunked")
        event = f"data: {json.dumps(bad.delta('half an'))}\n\n".encode()
        handler.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")

    for act in (cut, lambda h: h.events(bad.delta("half an"))):
        server.acts = [act]
        server.requests.clear()
        assert "cut off after 7 characters" in refusal(ask)
        assert len(server.requests) == 1


def test_one_failure_among_many_prompts_ends_all(server, ask):
    server.acts = [bad.refuses(418, "teapot")]
    assert "teapot" in refusal(ask, *"abcdefgh")


# ---------------------------------------------------------------------- refusals


def test_a_model_that_is_not_there_is_told_with_those_that_are(server, ask):
    server.gets = [bad.serves("tiny", "large")]
    server.acts = [bad.refuses(404, "The model `huge` does not exist.")]
    message = refusal(ask, model="huge", of=ModelNotFound)
    assert "'huge'" in message
    assert "tiny, large" in message


def test_an_address_without_its_version_is_told_apart_from_a_missing_model(server, ask):
    server.acts = server.gets = [bad.refuses(404, "Not Found", kind="fastapi")]
    message = refusal(ask)
    assert "/v1" in message


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_text_that_is_too_long_for_the_endpoint_is_called_so(server, ask, status):
    server.acts = [
        bad.refuses(status, "This model's maximum context length is 4096 tokens, not 9000.")
    ]
    assert "4096" in refusal(ask, of=TooLong)


def test_a_setting_the_endpoint_refuses_is_quoted(server, ask):
    server.acts = [bad.refuses(400, "'temperature' is not supported with this model.")]
    assert "'temperature' is not supported" in refusal(ask)


# ---------------------------------------------------------------------- the key


def test_the_key_goes_to_its_endpoint_and_nowhere_else(keyed, ask):
    assert ask() == ["fine"]
    assert keyed.requests[0][1]["Authorization"] == f"Bearer {KEY}"
    with bad.running() as other:
        other.acts = [bad.refuses(401)]
        message = refusal(ask, url=other.url)
        assert "keys of other addresses are not sent" in message
        assert KEY not in json.dumps(other.requests)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_stays(keyed, ask, status):
    with bad.running() as other:
        place = f"{other.url}/chat/completions?{KEY}"
        keyed.acts = [lambda h: h.whole(b"", status, Location=place)]
        message = refusal(ask)
        assert other.requests == []
    assert "redirects to" in message
    assert "[key]" in message


def test_a_server_that_sends_the_key_back_does_not_get_it_shown(keyed, ask):
    keyed.acts = [bad.refuses(401, f"bad key {KEY}")]
    assert "LLM_MAGICS_API_KEY is not valid" in refusal(ask)
    keyed.acts = [bad.refuses(418, f"you sent Bearer {KEY}")]
    assert "Bearer [key]" in refusal(ask)
    keyed.acts = [lambda h: h.events(f"nonsense {KEY}")]
    assert "[key]" in refusal(ask)
    keyed.acts = [bad.says("your key is ", KEY[:5], KEY[5:])]
    assert ask() == ["your key is [key]"]


def test_a_missing_key_is_asked_for_by_its_name(environment, server, ask):
    environment.setenv("OPENAI_BASE_URL", server.url)
    server.acts = [bad.refuses(401)]
    assert "set OPENAI_API_KEY" in refusal(ask)


def test_nothing_of_the_key_is_in_what_the_manager_shows(keyed, manager):
    with manager.lease("openai:tiny") as model:
        shown = [
            repr(model),
            repr(vars(model)),
            repr(manager.rows()),
            repr(manager.info("openai:tiny")),
        ]
    assert KEY not in "".join(shown)


# ---------------------------------------------------------------------- in the manager


def test_leasing_asks_nothing_of_the_endpoint_and_holds_no_memory(server):
    manager = ModelManager(device="cpu", endpoint=server.url)
    with manager.lease("openai:tiny") as model:
        assert model.backend.kind == "openai"
        (row,) = manager.rows()
        assert (row.name, row.task, row.bytes, row.state) == ("openai:tiny", "chat", 0, "in use")
        assert row.device == server.url.removesuffix("/v1")
        assert manager.check() == []
    assert manager.info("openai:tiny")["kind"] == "causal"
    assert "is sent to" in manager.plan("openai:tiny").note
    assert manager.unload("openai:tiny") == 0
    assert manager.rows() == []
    assert server.requests == []
    manager.close()


def test_another_endpoint_is_another_model(server, manager):
    with (
        manager.lease("openai:tiny", endpoint=server.url) as one,
        manager.lease("openai:tiny", endpoint="http://localhost:1/v1") as other,
        manager.lease("openai:tiny", endpoint=server.url) as again,
    ):
        assert one is again
        assert one is not other


def test_without_an_endpoint_the_message_says_how_to_set_one(manager):
    with pytest.raises(ModelNotFound, match="LLM.endpoint"), manager.lease("openai:tiny"):
        pass
    assert "would fail" in manager.plan("openai:tiny").note
    with (
        pytest.raises(InputError, match="dtype"),
        manager.lease("openai:tiny", dtype="bfloat16", endpoint="http://localhost/v1"),
    ):
        pass


def test_what_needs_weights_is_refused_in_one_line(server, manager):
    with manager.lease("openai:tiny", endpoint=server.url) as model:
        for work in (
            lambda: score_tokens(model, "text", count=3),
            lambda: model.tokenizer,
            lambda: model.module,
            lambda: model.using_tokenizer().__enter__(),
        ):
            with pytest.raises(WrongTask, match="only writes text"):
                work()
        assert count_tokens(model, ["four", "你好"]) == [2, 2]
    assert server.requests == []


def test_what_an_endpoint_serves_is_listed_when_asked(environment, server):
    manager = ModelManager(device="cpu", endpoint=server.url)
    server.gets = [
        lambda h: h.whole(
            {"data": [{"id": "a", "owned_by": "me", "max_model_len": 8192}, {"id": "b:7b"}]}
        )
    ]
    assert [(one.name, one.owner, one.context_tokens) for one in manager.served()] == [
        ("a", "me", 8192),
        ("b:7b", "", None),
    ]
    assert manager.served_names == ("openai:a", "openai:b:7b")
    for act, said in (
        (bad.refuses(401), "key"),
        (bad.refuses(500), "500"),
        (lambda h: h.whole(b"hello", kind="text/plain"), "no list of models"),
    ):
        server.gets = [act]
        with pytest.raises(EndpointError, match=said):
            manager.served()
    manager.close()
