"""Commands of the pages with little to do, on files that are there."""

import re
from pathlib import Path

from made_files import FEW_STEPS, RUNS, Made
from program_options import options_of

from ecgjax.workdir import read_arrays

SHRINKING = {
    "analyse": ["--min_records=3"],
    "attribute": ["--max_records=2", "--num_steps=2"],
    "benchmark": [
        *("--blocks=3", "--block_s=0.01", "--case_s=1", "--num_records=40", "--tasks=heartbeat"),
        *("--models=beat_reader", "--axes=networks", "--output=NEW"),
    ],
    "benchmark_check": ["--num_records=2", "--dataset=ptbxl", "--output=NEW"],
    "benchmark_digitizer": ["--num=1"],
    "benchmark_page": ["--records=2", "--num_bootstrap=5"],
    "benchmark_peers": ["--blocks=3", "--steps=1", "--ways=eager"],
    "benchmark_swaps": ["--max_records=2", "--multiple=3"],
    "benchmark_together": ["--num_runs=2", "--blocks=3", "--steps=1"],
    "compare_paper": ["--smoke", "--source=simulated", "--papers=150px", "--curve=75px-light"],
    "export": ["--records=4"],
    "eliminate_leads": ["--candidates=independent", "--resamples=2", "--until=7", "--output=NEW"],
    "profile_step": ["--rounds=3"],
    "reconstruct_then_classify": ["--num_bootstrap=5"],
    "scaling": ["--networks=heartbeat", "--batch_size=8", "--steps=1", "--rounds=1"],
    "suspects": ["--max_drawn=1"],
    "sweep": ["--num_runs=2"],
}
"""Script -> options that are added or take the place of those given."""

RUN_OF_OPTION = {
    **{f"--{task}": task for task in ("reversal", "diagnosis", "age", "reconstruction", "lead_id")},
    **{"--against": "reversal_again", "--init": "rhythm", "--config.init": "diagnosis"},
}
RUN_OF_NAME = {
    **{"ptbxl": "reversal", "smoke": "reversal", "superclass": "diagnosis"},
    **{task: task for task in RUNS},
}
RUN_OF_SCRIPT = {
    "reconstruct": "reconstruction",
    "eliminate_leads": "diagnosis",
    "benchmark_wiring": "activation_map",
}
"""Which run an option, `runs/NAME`, or `--workdir=RUN` of a script stands for; else it is one of reversal."""

WRITES = ("--output", "--html", "--trace")


def shrunk(words: list[str], made: Made) -> list[str]:
    """What follows `python`, shrunk."""
    at = 2 if words[0] == "-m" else 1
    begin, given = words[:at], words[at:]
    if begin[-1] == "data_prep":
        return [*begin, *_preparing(given, made)]
    given = [made.at_hand(word) if word.startswith(("--config=", "--dataset=")) else word for word in given]
    made.dataset(" ".join(given))
    is_training = any(word.startswith("--config=") for word in given)
    return [*begin, *(_training if is_training else _reading)(begin[-1], given, made)]


def _preparing(given: list[str], made: Made) -> list[str]:
    dataset = next(word for word in given if word.startswith("--dataset=")).partition("=")[2].partition("/")[0]
    kept = [word for word in given if not word.startswith("--raw_dir=")]
    return [*kept, f"--raw_dir={made.raw(dataset)}", f"--data_dir={made.new()}"]


def _training(program: str, given: list[str], made: Made) -> list[str]:
    """Of a few steps in a folder of its own; of a sweep the first run."""
    script = Path(program).stem
    options = [_smoke(word, made) for word in given if not word.startswith("--workdir=")]
    options += [*FEW_STEPS, "--config.batch_size=16", *made.lies(), *SHRINKING.get(script, [])]
    if script != "profile_step":
        options.append("--workdir=NEW")
    if any(re.match(r"--(vary|random)=", word) for word in given) and "--together" not in given:
        options.append("--only=0")
    return filled(options, made)


def _reading(program: str, given: list[str], made: Made) -> list[str]:
    """Of runs, records and pages that are there."""
    script = Path(program).stem
    has_run = any(word.startswith("--workdir=") for word in given)
    if script == "benchmark_peers":
        given = [f"{word},smoke" if word.startswith("--dataset=") else word for word in given]
    elif script == "benchmark_digitizer":
        given = [f"--folder={made.scanned()}" if word == "--folder=DIR" else word for word in given]
    if "data_dir" in options_of(program) and not has_run:
        given = [*given, f"--data_dir={made.data_dir}"]
    if "--dataset=simulated_hearts" in given:
        heart = str(read_arrays(made.run("activation_map") / "predictions_test.npz")["record_ids"][0])
        given = [re.sub("=RUN$", "=runs/activation_map", word.replace("heart 1198 beat 3", heart)) for word in given]
    if "--dataset=wfdb" in given:
        made.call("-m", "data_prep", "--dataset=wfdb", f"--raw_dir={made.records()}", f"--data_dir={made.data_dir}")
    names_data = any(word.startswith("--dataset=") for word in given)
    more = [word for word in SHRINKING.get(script, []) if not (names_data and word.startswith("--dataset="))]
    more = [made.at_hand(word) for word in more]
    made.dataset(" ".join(more))
    return filled([*given, *more], made, script)


def finetuning(given: list[str], made: Made) -> list[str]:
    """Options of a run of a few steps on a folder of labels."""
    folder = made.labelled()
    stands_for = {"FOLDER": folder, "PTBXL": folder, "TABLE.csv": folder / "labels.csv"}
    options = [
        re.sub(rf"=({'|'.join(stands_for)})$", lambda match: f"={stands_for[match[1]]}", word)
        for word in given
        if not word.startswith("--workdir=")
    ]
    return filled([_smoke(word, made) for word in [*options, *FEW_STEPS, "--workdir=NEW"]], made)


def filled(words: list[str], made: Made, script: str = "") -> list[str]:
    """Words with the names of files that are there, and of new ones to write."""
    if script == "reconstruct" and not any("runs/activation_map" in word for word in words):
        # Of a record with all its leads there is nothing to rebuild.
        words = [re.sub(r"REC\.hea|record\.hea", "holter.hea", word) for word in words]
    return [_filled(word, made, script) for word in words]


def _filled(word: str, made: Made, script: str) -> str:
    name, equals, value = word.partition("=")
    if value == "NEW" or (name in WRITES and equals):
        suffix = Path(value).suffix or (".json" if value == "FILE" else "")
        return f"{name}={made.new(suffix)}"
    run = re.fullmatch(r"runs/(\w+)", value)
    if name in RUN_OF_OPTION and equals and (run or value.startswith("RUN")):
        return f"{name}={made.run(RUN_OF_OPTION[name])}"
    if run:
        return f"{name}={made.run(RUN_OF_NAME[run[1]])}"
    if value.startswith("RUN"):
        return f"{name}={made.run(RUN_OF_SCRIPT.get(script, 'reversal'))}"
    there = {
        "REC.hea": made.record,
        "FILE.csv": made.table,
        "FILE": made.record,
        "RECORDS": made.records,
        "FOLDER": made.records,
        "PAGES": made.pages,
        "PAGE": made.page,
        "DIR": made.records,
        "record.hea": made.record,
        "folder": made.pages if script == "digitize" else made.records,
        "table.csv": made.table,
        "scan.pdf": made.page,
        "holter.dat": made.record,
        "holter.hea": made.few_leads,
    }
    names = "|".join(map(re.escape, there))
    filled_in = re.sub(
        rf"(?<![\w./])({names})\b(?!\.)", lambda match: str(there[match[1]]()), value if equals else word
    )
    return f"{name}={filled_in}" if equals else filled_in


def _smoke(word: str, made: Made) -> str:
    """The config of a run of seconds."""
    if not word.startswith("--config="):
        return word
    path, _, arguments = word.partition(":")
    arguments = arguments.replace("init=runs/rhythm", f"init={made.run('rhythm')}" if "init=" in arguments else "")
    return f"{path}:{','.join(filter(None, (arguments, 'smoke')))}"
