"""The card of the networks that come with ecgjax: every figure in it is read from the files beside it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ecgjax.analysis.markdown import table
from ecgjax.analysis.subgroups import NONE_NOTED
from ecgjax.bundled import SUMS, VARIABLES, check_sums, read_variables
from ecgjax.errors import InputError
from ecgjax.workdir import RESULTS

CARD = "MODEL_CARD.md"
CHECK = "check.json"
"""What scripts/benchmark_check.py wrote of the test split."""

USES = {
    "reversal": "`ecgjax check`, `ecgjax repair`: were the electrodes exchanged, and how?",
    "lead_id": "`ecgjax predict`: which lead is which?",
    "diagnosis": "`ecgjax predict`: five superclasses of diagnoses",
    "age": "`ecgjax predict`: the age of the patient",
    "reconstruction": "`ecgjax reconstruct`: twelve leads from fewer",
}
"""Task -> what its network serves."""

SCORES = {
    "reversal": ("accuracy", "macro_f1", "specificity", "recall", "ece"),
    "lead_id": ("lead_accuracy", "set_accuracy"),
    "diagnosis": ("macro_auroc", "macro_auprc", "macro_f1"),
    "age": ("mae_years", "rmse_years", "r2"),
    "reconstruction": ("pearson_r", "rmse_mv", "variance_ratio"),
}
"""Task -> the figures of its results that the card shows."""

_INTRODUCTION = """# Networks that come with ecgjax

Small networks for twelve-lead electrocardiograms, for research and for checking the quality of recordings. **They are
no medical device**: nothing here is approved for, or may be used for, diagnosis, triage, monitoring or treatment. A
physician decides about a patient, on a recording whose electrodes were looked at."""

_DATA = """## Data

- Records of PTB-XL 1.0.3 with ids 1 to 1999, 1,858 of the 21,799 and no random sample of them: ten seconds at 100 Hz.
  P. Wagner, N. Strodthoff, R.-D. Bousseljot, D. Kreiseler, F. I. Lunze, W. Samek and T. Schaeffter, "PTB-XL, a large
  publicly available electrocardiography dataset", Scientific Data 7:154 (2020), doi:10.1038/s41597-020-0495-6;
  PhysioNet, doi:10.13026/kfzx-aw45. Licence: Creative Commons Attribution 4.0 (CC-BY-4.0). The weights are derived from
  these records; whoever passes them on keeps this attribution.
- Records simulated by `ecgjax/simulate`, which first teach the network of `reversal` what leads look like.
- Split by patient, as PTB-XL gives it: folds 1-8 (1,490 records) train, fold 9 (242) chooses weights, priors and
  thresholds, fold 10 (126) tests and was used for nothing else.
- Records are taken as rightly recorded, and exchanges of electrodes are made from them exactly. About one in a hundred
  may have been recorded wrongly; a report says so of one, 1853 (fold 10), which is not counted as correct."""

_LIMITS = """## Limits

- An exchange of LL and RL writes the same twelve leads: nothing can show it. Where RL takes part in another way, a
  potential was never recorded, and only what was is put in its place.
- Neighbours on the chest, and LA with LL, often look alike after an exchange; those are the errors to expect. A
  doubtful record is reported as "cannot tell" and stays as it is. A correct record of an unusual heart may be held to
  be wrong.
- Every record is brought to 100 Hz and 0.5-40 Hz first. What decides is its average beat: nothing is learnt from what
  is faster, from the rhythm or from single beats.
- One archive of one country, devices of the years 1984 to 2001, few children, few paced or malformed hearts. The share
  of wrong records that is expected (`--prevalence`) is a judgement; give that of your clinic.
- Reconstructed leads are estimates towards the usual heart. They are not to be read for infarction, and neither is an
  age or a class of diagnoses given here a finding about a person."""


def write(folder: Path) -> None:
    """Writes MODEL_CARD.md for the networks in `folder`."""
    (folder / CARD).write_text(text(folder), encoding="utf-8")


def text(folder: Path) -> str:
    """The card, from results.json and SHA256SUMS of each network and from check.json.

    Raises:
      InputError: no network is there, or a file is not as it was made.
    """
    tasks = [task for task in USES if (folder / task / SUMS).exists()]
    if not tasks:
        raise InputError(f"{folder} holds no network", "train one (scripts/bundle.py)")
    for task in tasks:
        check_sums(folder / task)
    results = {task: _json(folder / task / RESULTS) for task in tasks}
    parts = [_INTRODUCTION, "## What there is", _contents(folder, results), _DATA]
    parts += ["## How they were trained", _training(results)]
    parts += ["## Scores", _scores(results)]
    if (folder / CHECK).exists():
        parts += ["## Exchanges found and put right", _check(_json(folder / CHECK))]
    groups = results.get("reversal", {}).get("groups")
    if groups:
        parts += ["## Groups", _groups(groups)]
    parts += [_LIMITS, "## Hashes", _hashes(folder, tasks)]
    return "\n\n".join(parts) + "\n"


def _contents(folder: Path, results: dict[str, dict[str, Any]]) -> str:
    rows = []
    for task in results:
        files = sorted((folder / task).rglob(VARIABLES))
        num_weights = sum(array.size for array in _leaves(read_variables(files[0].parent)))
        size_kb = sum(path.stat().st_size for path in (folder / task).rglob("*") if path.is_file()) / 1000
        rows.append([f"`{task}`", USES[task], len(files), f"{num_weights:,}", f"{size_kb:,.0f} kB"])
    return table(["folder", "serves", "networks", "weights of each", "size"], rows)


def _leaves(tree: Any) -> Iterable[Any]:
    if isinstance(tree, dict):
        for branch in tree.values():
            yield from _leaves(branch)
    else:
        yield tree


def _training(results: dict[str, dict[str, Any]]) -> str:
    rows = [
        [f"`{task}`", "; then ".join(f"`{stage}`" for stage in of_task.get("trained", [])), of_task["seed"],
         f"{of_task['wall_s']:.0f} s"]
        for task, of_task in results.items()
    ]  # fmt: skip
    hardware = sorted({of_task["hardware"] for of_task in results.values()})
    return (
        "All by one command, which prepared datasets have to be there for (`python -m data_prep`):\n\n"
        "```bash\npython scripts/bundle.py\n```\n\n"
        + table(["folder", "`--config=`", "seed", "last stage took"], rows)
        + f"\n\nOn {', '.join(hardware)}, which other work shared. Weights are kept in half precision; the options of "
        "every run are in its config.json."
    )


def _scores(results: dict[str, dict[str, Any]]) -> str:
    rows = []
    for task, of_task in results.items():
        chosen_on = "out_of_fold" if "out_of_fold" in of_task else "validation"
        for name in SCORES[task]:
            if name in of_task["metrics"]:
                other = of_task.get(chosen_on, {}).get(name)
                rows.append(
                    [f"`{task}`", name, _cell(of_task["metrics"][name]), _cell(other), chosen_on.replace("_", " ")]
                )
    counts = {f"{of_task['n_records']} records of {of_task['n_patients']} patients" for of_task in results.values()}
    head = table(["folder", "figure", "test", "validation", "which validation"], rows)
    return (
        f"{head}\n\nTest: fold 10, {' or '.join(sorted(counts))}. 95 % intervals by resampling patients. `reversal` "
        "counts every record under 19 placements, correct and wrong at even odds. Out of fold, where a run has kfold: "
        "each record judged by the network that was not trained on its patient."
    )


def _check(content: dict[str, Any]) -> str:
    kinds = {
        "uniform": "any of the 39 exchanges, equally often",
        "clinical": "exchanges as often as a clinic may expect them",
    }
    which = {"drawn": "{} records, one exchange each", "all": "all {} records under all exchanges"}
    rows = []
    for drawing, records in which.items():
        for kind, said in kinds.items():
            one = content[drawing][kind]
            records_n = records.format(one["put_right"]["n"])
            rows.append([f"{records_n}: {said}", _share(one["found"]), _share(one["put_right"])])
    correct = content["all"]["correct"]
    everyone = content["left_alone_with_reports_that_name_an_exchange"]
    names = [name for name in content["all"] if name not in (*kinds, "correct")]
    hardest = sorted(
        (name for name in names if "-" in name and " " not in name),
        key=lambda name: content["all"][name]["put_right"]["value"],
    )[:8]
    changed = ", ".join(one["record"] for one in content["changed"]) or "none"
    worst = ", ".join(f"{name} {100 * content['all'][name]['put_right']['value']:.0f} %" for name in hardest)
    return (
        f"`python scripts/benchmark_check.py --split={content['split']}`, by `ecgjax.check` with a prevalence of "
        f"{content['prevalence']:g} and a threshold of {content['threshold']:g}:\n\n"
        + table(["wrong records", "found", "found and put right"], rows)
        + f"\n\nCorrect records left alone: {_share(correct['left_alone'])} of {correct['left_alone']['n']}, of which "
        f'{_share(correct["cannot_tell"])} "cannot tell"; changed: {changed}. With the records whose own report names '
        f"an exchange counted as correct, {_share(everyone)} of {everyone['n']}.\n\nHardest to put right: {worst}."
    )


def _groups(groups: dict[str, dict[str, Any]]) -> str:
    rows = [
        [name, found["n"], _share(found["left_alone"]), _share(found["named"])]
        for name, found in groups.items()
        if name != NONE_NOTED
    ]
    return (
        "Of the validation records, the most probable of 19 placements at even odds:\n\n"
        + table(["group", "records", "correct ones recognised", "placements named rightly"], rows)
        + "\n\nGroups of few records say little; where an interval does not reach that of all records, expect less."
    )


def _hashes(folder: Path, tasks: Iterable[str]) -> str:
    lines = [
        f"{line.split()[0]}  {task}/{line.split(maxsplit=1)[1]}"
        for task in tasks
        for line in (folder / task / SUMS).read_text().splitlines()
        if line.endswith(VARIABLES)
    ]
    return "SHA-256 of the weights (`sha256sum --check SHA256SUMS` in a folder checks all of its files):\n\n```\n" + (
        "\n".join(lines) + "\n```"
    )


def _cell(metric: dict[str, Any] | None) -> str:
    if metric is None or metric["value"] is None:
        return "-"
    interval = f" ({metric['ci95'][0]:.3f} to {metric['ci95'][1]:.3f})" if metric["ci95"] else ""
    return f"{metric['value']:.3f}{interval}"


def _share(metric: dict[str, Any]) -> str:
    interval = f" [{100 * metric['ci95'][0]:.1f} to {100 * metric['ci95'][1]:.1f}]" if metric["ci95"] else ""
    return f"{100 * metric['value']:.1f} %{interval}"


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
