"""The report's section on rebuilt leads."""

import numpy as np
from made_run import made_run

from ecgjax.leads import LEADS
from ecgjax.metrics import Metric
from ecgjax.report import reconstruction

SETS = ("I+II+V2", "I")
RNG = np.random.default_rng(0)


def results():
    figures = {}
    for given, learnt in (("", ("V1", "V3", "V4", "V5", "V6")), ("@I", ("II", "V1", "V2", "V3", "V4", "V5", "V6"))):
        for figure in ("pearson_r", "rmse_mv", "variance_ratio"):
            figures |= {f"{figure}{given}/{lead}": Metric(0.91, (0.9, 0.92), 5).to_json() for lead in learnt}
            figures[f"{figure}{given}"] = Metric(0.912 if not given else 0.634, (0.9, 0.92), 5).to_json()
    rival = {name: Metric(float("nan"), None, 5).to_json() for name in figures}
    return {"task": "reconstruction", "metrics": figures, "baselines": {"least_squares": rival, "another": {}}}


def examples():
    beats_mv = RNG.normal(size=(2, 2, 96, len(LEADS))).astype(np.float32)
    return {
        "true_beat_mv": beats_mv[0],
        "rebuilt_beat_mv": beats_mv[1],
        "rmse_mv": np.full((2, 12), 0.1),
        "given": np.array(SETS),
        "record_ids": np.array(["r<1>", "r2"]),
        "fs_hz": np.float32(100),
        "before_s": np.float32(0.4),
    }


def test_every_set_has_its_rows_and_figures(monkeypatch, tmp_path):
    drawn = {}

    def keep(figure, png, alt, caption=""):
        drawn[png.name] = figure
        return caption

    monkeypatch.setattr(reconstruction, "image", keep)
    section = reconstruction.reconstruction_section(made_run(results(), tmp_path, examples=examples()))
    assert section.title == "Rebuilt leads"
    for text in (
        "I+II+V2: Pearson r",
        "I: variance ratio",
        "0.912",
        "0.634",
        "least squares",
        "another",
        "Record r<1>",
    ):
        assert text in section.body
    assert set(drawn) == {f"{kind}_{stem}.png" for kind in ("by_lead", "overlay") for stem in ("I_II_V2", "I")}
    titles = [axes.get_title("left") for axes in drawn["overlay_I_II_V2.png"].axes]
    assert titles[:4] == ["I · given", "aVR · follows", "V1 · rebuilt", "V4 · rebuilt"]
    bands = [len(axes.collections) for axes in drawn["overlay_I.png"].axes]
    assert sum(bands) == 7
    for figure in (drawn["by_lead_I.png"], drawn["overlay_I.png"]):
        figure.savefig(tmp_path / "drawn.png", dpi=40)


def test_other_tasks_have_no_such_section(tmp_path):
    section = reconstruction.reconstruction_section
    assert section(made_run({**results(), "task": "lead_id"}, tmp_path, examples=examples())) is None
    assert section(made_run(results(), tmp_path)) is None
