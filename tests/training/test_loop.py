"""The loop: what it yields, how it stops, and that a resumed run is the run it would have been."""

from __future__ import annotations

import base64
import itertools
import threading

import pytest
import torch
from safetensors.torch import load_file

from llm_magics.errors import CheckpointError, NonFinite, RunError, TrainingError
from llm_magics.models.folder.native import load_native
from llm_magics.training.objectives.translate import Translate
from llm_magics.training.recipe.recipe import Schedule, recipe_from_dict
from llm_magics.training.run import checkpoint
from llm_magics.training.run.control import Control
from llm_magics.training.run.events import (
    AttentionSeen,
    BatchSplit,
    CheckpointSaved,
    CheckpointSkipped,
    Evaluated,
    Failed,
    Finished,
    LayersSeen,
    Paused,
    RateChanged,
    Resumed,
    RunStarted,
    Sampled,
    StepDone,
    from_record,
    to_record,
)
from llm_magics.training.run.launch import start
from llm_magics.training.run.loop import train
from llm_magics.training.run.schedule import factor
from llm_magics.training.run.setup import Given, prepare
from llm_magics.training.runs.runs import create_run, find_run
from llm_magics.training.runs.summary import summary_of

RECIPE = {
    "name": "tiny",
    "seed": 3,
    "data": {
        "source": "number-words",
        "languages": ["en", "de"],
        "largest": 120,
        "source_language": "en,de",
        "target_language": "digits",
    },
    "augmentation": {"join": 0.2, "drop": 0.1},
    "tokenizer": {"vocab_size": 330},
    "model": {
        "d_model": 16,
        "nhead": 2,
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
        "dim_feedforward": 32,
        "dropout": 0.2,
    },
    "schedule": {"epochs": 3, "warmup_steps": 5},
    "batch": {"tokens": 150},
    "evaluation": {"every_steps": 7, "metric": "exact_match", "rows": 10},
}


def new_run(root, name=None, **settings):
    return create_run(root, recipe_from_dict(RECIPE).with_settings(settings), name)


def stopping_after(steps):
    """A control that asks for the end once so many steps were taken."""
    control, count = Control(), itertools.count(1)

    def watch(events):
        for event in events:
            yield event
            if isinstance(event, StepDone) and next(count) >= steps:
                control.stop()

    return control, watch


def final_weights(run):
    path, _ = checkpoint.latest_valid(run.checkpoints)
    return checkpoint.weights(path)


def test_the_events_tell_the_whole_story_and_survive_the_record(tmp_path):
    run = new_run(tmp_path)
    events = list(train(run))
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "completed"
    assert set(events[-1].metrics) == {"exact_match"}
    steps = [e.step for e in events if isinstance(e, StepDone)]
    assert steps == list(range(1, events[0].total_steps + 1))
    losses = [e.loss for e in events if isinstance(e, Evaluated)]
    assert losses[-1] < losses[0]
    assert [from_record(to_record(event)) for event in events] == events


@pytest.mark.parametrize(
    ("optimizer", "stop_after"),
    [*(("adamw", step) for step in (1, 6, 7, 8, 13)), ("adam", 8), ("momentum", 8), ("sgd", 8)],
)
def test_a_stopped_and_resumed_run_equals_the_uninterrupted_one_to_the_bit(
    tmp_path, optimizer, stop_after
):
    whole = new_run(tmp_path, "whole", **{"optimizer.name": optimizer})
    expected = [e for e in train(whole) if isinstance(e, StepDone)]
    broken = new_run(tmp_path, "broken", **{"optimizer.name": optimizer})
    control, watch = stopping_after(stop_after)
    first = list(watch(train(broken, control=control)))
    assert first[-1].reason == "stopped"
    assert first[-1].step == stop_after
    torch.manual_seed(999)  # another cell uses the generator
    rest = []
    for event in train(find_run(tmp_path, "broken")):
        torch.rand(3)
        rest.append(event)
    steps = [e for e in first + rest if isinstance(e, StepDone)]
    assert [(e.step, e.loss, e.grad_norm) for e in steps] == [
        (e.step, e.loss, e.grad_norm) for e in expected
    ]
    mine, theirs = final_weights(broken), final_weights(whole)
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    exported = [load_file(run.model_folder / "model.safetensors") for run in (broken, whole)]
    assert all(torch.equal(exported[0][name], exported[1][name]) for name in exported[1])


def test_training_leaves_the_global_generator_as_it_was(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for _ in train(new_run(tmp_path)):
        pass
    assert torch.equal(torch.rand(3), expected)


def test_a_stopped_run_keeps_a_model_that_loads(tmp_path):
    run = new_run(tmp_path)
    control, watch = stopping_after(3)
    list(watch(train(run, control=control)))
    module, tokenizer, config = load_native(run.model_folder)
    assert config["target_language"] == "digits"
    assert not module.training
    assert tokenizer.encode_source(["forty-two"])[0][-1] == 2


def test_a_diverging_training_stops_before_the_step_and_names_the_rows(tmp_path):
    run = new_run(
        tmp_path,
        **{
            "optimizer.lr": 1e30,
            "optimizer.name": "sgd",
            "optimizer.clip_norm": 0.0,
            "schedule.warmup_steps": 1,
        },
    )
    with pytest.raises(
        NonFinite, match=r"the step was not taken. Training rows of the batch: number \d+ in words"
    ) as caught:
        list(train(run))
    assert "lower optimizer.lr" in str(caught.value)


def test_the_rows_that_are_named_are_those_of_the_file_also_when_others_were_too_long(tmp_path):
    rows = [{"source": "x " * (50 if n % 2 else 1), "target": f"word{n}"} for n in range(40)]
    run = create_run(
        tmp_path,
        recipe_from_dict(
            {
                **RECIPE,
                "data": {"source": "notebook", "validation_share": 0.0},
                "batch": {"tokens": 10, "max_tokens_per_side": 40},
                "augmentation": {},
                "cleaning": {"deduplicate": False},
                "evaluation": {"every_steps": 100},
            }
        ),
    )
    setup = prepare(run, "cpu", Given(data={"train": rows}))
    assert setup.objective.left_out == {"train": 20}
    for number, (_, target) in enumerate(setup.objective.items["train"]):
        row = int(setup.objective.place(number).split()[-1])
        assert setup.objective.tokenizer.decode_target(target) == f"word{row}"


def test_a_training_that_failed_says_so_to_whoever_reads_its_record(tmp_path):
    run = new_run(
        tmp_path,
        "diverged",
        **{
            "optimizer.lr": 1e30,
            "optimizer.name": "sgd",
            "optimizer.clip_norm": 0.0,
            "schedule.warmup_steps": 1,
        },
    )
    handle = start(run, device="cpu")
    handle.wait(60)
    assert isinstance(handle.error, NonFinite)
    assert run.events()[-1] == Failed(str(handle.error))
    assert summary_of(run).state == "failed"


def test_a_run_that_never_began_leaves_no_folder_and_its_name_is_free(tmp_path):
    run = new_run(tmp_path, "typo", **{"data.languages": ["xx"]})
    handle = start(run, device="cpu", is_new=True)
    handle.wait(60)
    assert handle.error is not None
    assert not run.folder.exists()


def test_early_stopping_ends_a_run_that_no_longer_gains(tmp_path):
    run = new_run(
        tmp_path, **{"optimizer.lr": 1e-12, "evaluation.patience": 1, "evaluation.every_steps": 2}
    )
    events = list(train(run))
    assert events[-1].reason in ("early stop", "completed")
    evaluations = [e for e in events if isinstance(e, Evaluated)]
    assert events[-1].reason == "early stop"
    assert evaluations[-1].loss >= evaluations[-2].loss


def test_a_time_limit_ends_the_run_with_a_model(tmp_path):
    run = new_run(tmp_path, **{"schedule.max_seconds": 1e-6})
    events = list(train(run))
    assert events[-1].reason == "time limit"
    assert (run.model_folder / "model.safetensors").is_file()


def test_a_run_is_trained_by_one_at_a_time(tmp_path):
    run = new_run(tmp_path)
    with run.locked(), pytest.raises(RunError, match="being trained by process"):
        next(train(run))


@pytest.mark.parametrize("name", ["../x", "", ".", "a/b", "a" * 65, "a\0b", "<img>", "ü", "a."])
def test_names_that_could_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(RunError, match="cannot name a run"):
        find_run(tmp_path, name)


def test_runs_get_the_next_free_number_and_an_existing_name_is_refused(tmp_path):
    assert [new_run(tmp_path).name for _ in range(3)] == ["tiny-1", "tiny-2", "tiny-3"]
    with pytest.raises(RunError, match="exists"):
        new_run(tmp_path, "tiny-2")
    with pytest.raises(RunError, match="runs: tiny-1, tiny-2, tiny-3"):
        find_run(tmp_path, "nothing")


def test_a_worker_thread_trains_while_the_caller_waits_and_its_watcher_may_fail(tmp_path):
    seen = []

    def watcher(event):
        seen.append(event)
        raise RuntimeError("a broken view")

    handle = start(new_run(tmp_path), device="cpu", on_event=watcher)
    assert handle.wait(60)
    assert len(seen) == 1
    assert handle.result.reason == "completed"
    assert handle.result.model == "run:tiny-1"
    assert handle.result.losses["validation"]


def test_the_record_of_a_fast_training_has_steps_between_its_evaluations(tmp_path):
    handle = start(new_run(tmp_path, **{"evaluation.every_steps": 1}), device="cpu")
    assert handle.result.losses["train"][0][0] == 1, "the first step is always told"


def test_a_failed_training_raises_where_the_result_is_asked_for(tmp_path):
    handle = start(
        new_run(tmp_path, **{"data.largest": 100, "batch.max_tokens_per_side": 1}), device="cpu"
    )
    handle.wait(60)
    with pytest.raises(Exception, match="longer than batch.max_tokens_per_side"):
        _ = handle.result


def test_schedules_warm_up_and_then_follow_their_formula():
    cosine = Schedule("cosine", warmup_steps=10)
    assert factor(cosine, 5, 100) == 0.5
    assert factor(cosine, 10, 100) == pytest.approx(1.0)
    assert factor(cosine, 55, 100) == pytest.approx(0.01 + 0.99 / 2)
    assert factor(cosine, 100, 100) == pytest.approx(0.01)
    short = [factor(Schedule("constant", warmup_steps=100), step, 12) for step in (1, 2, 3, 12)]
    assert short == pytest.approx([1 / 3, 2 / 3, 1, 1])
    root = Schedule("inverse_sqrt", warmup_steps=10)
    assert factor(root, 40, 0) == pytest.approx(0.5)
    assert factor(Schedule("constant", warmup_steps=10), 1000, 0) == 1.0
    assert factor(Schedule("linear", warmup_steps=10), 55, 100) == pytest.approx(0.5)
    assert factor(Schedule("linear", warmup_steps=10), 100, 100) == 0.0
    cycle = Schedule("one_cycle")
    torch_cycle = torch.optim.lr_scheduler.OneCycleLR(
        torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0),
        1.0,
        total_steps=100,
        cycle_momentum=False,
    )
    theirs = []
    for _ in range(100):
        theirs.append(torch_cycle.get_last_lr()[0])
        torch_cycle.optimizer.step()
        torch_cycle.step()
    assert [factor(cycle, step, 100) for step in (1, 30)] == pytest.approx([theirs[0], max(theirs)])
    assert factor(cycle, 100, 100) == pytest.approx(
        1e-4
    )  # torch divides its first rate, 1/25, by 10,000; we the peak
    assert [factor(cycle, step, 100) for step in range(1, 90)] == pytest.approx(
        theirs[:89], abs=1e-3
    )


def test_a_background_run_is_exact_while_other_threads_draw_random_numbers(tmp_path):
    expected = [
        (e.step, e.loss) for e in train(new_run(tmp_path, "alone")) if isinstance(e, StepDone)
    ]
    over = threading.Event()

    def other_cell():
        while not over.is_set():
            torch.rand(100)

    thread = threading.Thread(target=other_cell)
    thread.start()
    try:
        crowded = [
            (e.step, e.loss) for e in train(new_run(tmp_path, "crowded")) if isinstance(e, StepDone)
        ]
    finally:
        over.set()
        thread.join()
    assert crowded == expected


def test_what_a_person_asks_for_is_done_between_two_steps(tmp_path):
    run, control = new_run(tmp_path), Control()
    control.pause()
    told = []
    for event in train(run, control=control):
        told.append(event)
        if isinstance(event, Paused):
            control.set_rate_factor(0.5)
            control.resume()
        if isinstance(event, StepDone) and event.step == 3:
            control.checkpoint()
    kinds = [type(event) for event in told]
    assert kinds[1:6] == [CheckpointSaved, Paused, Resumed, RateChanged, StepDone] or kinds[
        1:6
    ] == [CheckpointSaved, Paused, RateChanged, Resumed, StepDone]
    assert any(isinstance(e, CheckpointSaved) and e.step == 3 for e in told)
    first = next(e for e in told if isinstance(e, StepDone))
    plain = next(e for e in train(new_run(tmp_path, "plain")) if isinstance(e, StepDone))
    assert first.learning_rate == pytest.approx(plain.learning_rate / 2)


def test_a_changed_learning_rate_is_kept_by_the_checkpoint(tmp_path):
    run, control = new_run(tmp_path), Control()
    control.set_rate_factor(0.25)
    for event in train(run, control=control):
        if isinstance(event, StepDone) and event.step == 4:
            control.stop()
    rest = [e for e in train(run) if isinstance(e, StepDone)]
    plain = {
        e.step: e.learning_rate
        for e in train(new_run(tmp_path, "plain"))
        if isinstance(e, StepDone)
    }
    assert all(e.learning_rate == pytest.approx(plain[e.step] / 4) for e in rest)
    assert rest[0].step == 5


def test_the_passes_are_looked_at_layer_by_layer(tmp_path):
    seen = [
        e
        for e in train(new_run(tmp_path, **{"evaluation.watch_every": 5}))
        if isinstance(e, LayersSeen)
    ]
    assert [e.step for e in seen][:2] == [5, 10]
    assert {"source_embedding", "encoder.layers.0", "decoder.layers.0", "generator"} <= set(
        seen[0].layers
    )
    steps = {e.step: e for e in train(new_run(tmp_path, "again")) if isinstance(e, StepDone)}
    for event in seen:  # the norm of all gradients is made of those of the layers
        assert sum(n * n for n in event.gradient_norm) ** 0.5 == pytest.approx(
            steps[event.step].grad_norm, rel=1e-4
        )
    at = seen[0].layers.index("encoder.layers.0")
    assert seen[0].activation_std[at] > 0


def test_samples_and_attention_of_the_same_rows_come_with_every_evaluation(tmp_path):
    events = list(train(new_run(tmp_path)))
    evaluations = [e.step for e in events if isinstance(e, Evaluated)]
    samples = [e for e in events if isinstance(e, Sampled)]
    maps = [e for e in events if isinstance(e, AttentionSeen)]
    assert [e.step for e in samples] == [e.step for e in maps] == evaluations
    assert len({tuple((s.given, s.expected) for s in e.samples) for e in samples}) == 1
    assert maps[0].kind == "cross"
    weights = base64.b64decode(maps[0].maps)
    assert len(weights) == maps[0].layers * maps[0].heads * len(maps[0].rows) * len(maps[0].columns)
    row = [(byte / 255) ** 2 for byte in weights[: len(maps[0].columns)]]
    assert sum(row) == pytest.approx(1, abs=0.05)


def test_accumulated_batches_make_the_gradient_of_one_large_batch(tmp_path):
    settings = {"model.dropout": 0.0, "augmentation": {}, "optimizer.clip_norm": 0.0}
    small = new_run(
        tmp_path, "small", **settings, **{"batch.tokens": 100, "batch.accumulate": 1000}
    )
    large = new_run(tmp_path, "large", **settings, **{"batch.tokens": 1_000_000})
    one, other = (next(e for e in train(run) if isinstance(e, StepDone)) for run in (small, large))
    assert one.loss == pytest.approx(other.loss, rel=1e-5)
    assert one.grad_norm == pytest.approx(other.grad_norm, rel=1e-4)


def test_a_damaged_checkpoint_is_told_about_and_the_one_before_is_taken(tmp_path):
    run = new_run(tmp_path)
    control, watch = stopping_after(14)
    list(watch(train(run, control=control)))
    newest = checkpoint.list_checkpoints(run.checkpoints)[-1]
    (newest / "model.safetensors").write_bytes(b"rust")
    events = train(run)
    first = next(events)
    assert isinstance(first, CheckpointSkipped)
    assert "model.safetensors" in first.problem
    assert next(events).step == 7


def test_a_run_whose_checkpoints_are_all_damaged_does_not_begin_again_in_silence(tmp_path):
    run = new_run(tmp_path)
    control, watch = stopping_after(8)
    list(watch(train(run, control=control)))
    for path in checkpoint.list_checkpoints(run.checkpoints):
        (path / "state.json").unlink()
    with pytest.raises(CheckpointError, match="every checkpoint is damaged"):
        next(train(run))


def test_the_record_tells_one_story_after_a_crash_and_a_resume(tmp_path):
    run = new_run(tmp_path)
    for event in train(run):
        run.append(event)
        if isinstance(event, StepDone) and event.step == 9:
            break  # the process is gone; the newest checkpoint is that of step 7
    with (run.folder / "events.jsonl").open("a") as file:
        file.write('{"event": "StepDone", "st')
    for event in train(run):
        run.append(event)
    steps = [e.step for e in run.events() if isinstance(e, StepDone)]
    assert steps == sorted(set(steps))
    assert steps[0] == 1
    assert isinstance(run.events()[-1], Finished)
    assert sum(isinstance(e, RunStarted) for e in run.events()) == 2


def test_memory_that_runs_out_splits_the_batch_and_keeps_the_sum_of_gradients(
    tmp_path, monkeypatch
):
    """The allocator's failure is imitated for batches above a size, since a real one would take the
    machine down."""
    settings = {"model.dropout": 0.0, "augmentation": {}}
    whole = [e for e in train(new_run(tmp_path, "whole", **settings)) if isinstance(e, StepDone)]
    real = Translate.loss

    def crowded(self, model, tensors, label_smoothing=0.0):
        if model.training and sum(t.numel() for t in tensors[:2]) > 90:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return real(self, model, tensors, label_smoothing)

    monkeypatch.setattr(Translate, "loss", crowded)
    events = list(train(new_run(tmp_path, "split", **settings)))
    splits = [e for e in events if isinstance(e, BatchSplit)]
    parts = [e for e in events if isinstance(e, StepDone)]
    assert splits
    assert splits[-1].cells <= 90
    assert [e.loss for e in parts] == pytest.approx([e.loss for e in whole], rel=1e-3)
    assert splits[-1].step < parts[-1].step  # what was learnt about the memory is remembered


def test_a_row_that_does_not_fit_is_one_clear_error(tmp_path, monkeypatch):
    def full(self, model, tensors, label_smoothing=0.0):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Translate, "loss", full)
    with pytest.raises(TrainingError, match="memory does not suffice for one row"):
        list(train(new_run(tmp_path)))
