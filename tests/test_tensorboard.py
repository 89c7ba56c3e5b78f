import json
import math
import struct
import sys

import fake_task
import jax
import pytest

from ecgjax import tensorboard, train
from ecgjax.errors import InputError
from ecgjax.runlog import read_metrics
from ecgjax.tensorboard import EventFiles

pytest.importorskip("tensorboardX")

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c


def events_of(folder):
    """All events below a folder, in the order in which TensorBoard reads them; check sums are right."""
    events = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            body = data[12 : 12 + length]
            assert struct.unpack("<I", data[8:12])[0] == masked_crc32c(data[:8])
            assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked_crc32c(body)
            events.append(Event.FromString(body))
            data = data[16 + length :]
    return events


def figures_of(events):
    """(step, name) -> value as TensorBoard shows them: what a later session begins at or before is taken back."""
    found = {}
    for event in events:
        if event.session_log.status == event.session_log.START:
            found = {key: value for key, value in found.items() if key[0] < event.step}
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name != "text":
                found[event.step, value.tag] = value.simple_value
    return found


@pytest.mark.usefixtures("fake")
def test_a_run_writes_what_metrics_jsonl_has(tmp_path):
    config = fake_task.fake_config()
    config.tensorboard = True
    train.train_and_evaluate(config, tmp_path / "run")
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    for split in ("train", "validation"):
        events = events_of(tmp_path / "run" / tensorboard.FOLDER / split)
        assert events[0].file_version == "brain.Event:2"
        expected = {
            (line["step"], name): value
            for line in lines
            if line["split"] == split
            for name, value in line.items()
            if name not in ("step", "split") and value is not None
        }
        assert expected
        assert figures_of(events) == pytest.approx(expected, rel=1e-6)
    (text,) = [v.tensor.string_val[0] for e in events_of(tmp_path / "run" / tensorboard.FOLDER / "train")
               for v in e.summary.value if v.metadata.plugin_data.plugin_name == "text"]  # fmt: skip
    assert json.loads(text.decode().removeprefix("```json\n").removesuffix("```")) == json.loads(
        (tmp_path / "run" / "config.json").read_text()
    )


def test_a_resumed_run_takes_back_what_came_after_its_checkpoint(tmp_path):
    config = fake_task.fake_config()
    first = EventFiles(tmp_path, 0, config)
    for step in (1, 2, 3):
        first.write(step, "train", {"loss": float(step), "undefined": math.nan})
    EventFiles(tmp_path, 2, config).write(3, "train", {"loss": 30.0})
    assert figures_of(events_of(tmp_path / "train")) == {(1, "loss"): 1.0, (2, "loss"): 2.0, (3, "loss"): 30.0}
    assert len(list((tmp_path / "train").iterdir())) == 2


def test_other_processes_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    EventFiles(tmp_path, 0, fake_task.fake_config()).write(1, "train", {"loss": 1.0})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("fake")
def test_without_the_library_nothing_begins(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    config = fake_task.fake_config()
    config.tensorboard = True
    with pytest.raises(InputError, match=r"tensorboardX is not installed; pip install 'ecgjax\[tensorboard\]'"):
        train.train_and_evaluate(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
