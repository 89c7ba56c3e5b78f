"""Tasks by name."""

from collections.abc import Callable

from ml_collections import ConfigDict

from ecgjax.beats import BeatWindow
from ecgjax.data import intracardiac
from ecgjax.errors import InputError
from ecgjax.options import fitting_options
from ecgjax.preprocess import Preprocess
from ecgjax.tasks import heartbeat_view, rhythm_view
from ecgjax.tasks.activation_map import ActivationMap
from ecgjax.tasks.age import Age
from ecgjax.tasks.diagnosis import Diagnosis
from ecgjax.tasks.heart_view import HeartView
from ecgjax.tasks.heartbeat import Heartbeat
from ecgjax.tasks.lead_id import LeadId
from ecgjax.tasks.reconstruction import Reconstruction
from ecgjax.tasks.reversal import Reversal
from ecgjax.tasks.rhythm import Rhythm
from ecgjax.tasks.task import Task
from ecgjax.tasks.transmembrane import Transmembrane
from ecgjax.tasks.twelve_lead_view import TwelveLeadView


def _reversal(config: ConfigDict) -> Task:
    return Reversal(
        preprocess=Preprocess.from_config(config),
        window=BeatWindow(fs_hz=config.preprocess.fs_hz, **config.beat.to_dict()),
        seed=config.seed,
        **config.reversal.to_dict(),
    )


def _lead_id(config: ConfigDict) -> Task:
    return LeadId(
        preprocess=Preprocess.from_config(config),
        window=BeatWindow(fs_hz=config.preprocess.fs_hz, **config.beat.to_dict()),
        seed=config.seed,
        **config.lead_id.to_dict(),
    )


def _reconstruction(config: ConfigDict) -> Task:
    if config.evaluation.window_stride_s:
        raise InputError(
            "evaluation.window_stride_s is set, and rebuilt signals have no mean over windows", "set it to 0"
        )
    options = config.reconstruction.to_dict()
    return Reconstruction(
        loss_name=options.pop("loss"),
        preprocess=Preprocess.from_config(config),
        window=BeatWindow(fs_hz=config.preprocess.fs_hz, **config.beat.to_dict()),
        **options,
    )


def _diagnosis(config: ConfigDict) -> Task:
    options = config.diagnosis
    shown = TwelveLeadView.from_options(config, options)
    return Diagnosis(labels=options.labels, weighting=options.weighting, shown=shown, seed=config.seed)


def _age(config: ConfigDict) -> Task:
    options = config.age
    return Age(
        loss_name=options.loss,
        centre_years=options.centre_years,
        spread_years=options.spread_years,
        shown=TwelveLeadView.from_options(config, options),
    )


def _heartbeat(config: ConfigDict) -> Task:
    if config.evaluation.window_stride_s:
        raise InputError("evaluation.window_stride_s is set, and a beat is one window", "set it to 0")
    options = config.heartbeat.to_dict()
    shown = {name: options.pop(name) for name in heartbeat_view.OPTIONS}
    return Heartbeat(
        loss_name=options.pop("loss"),
        shown=heartbeat_view.HeartbeatView(preprocess=Preprocess.from_config(config), **shown),
        seed=config.seed,
        **options,
    )


def _rhythm(config: ConfigDict) -> Task:
    options = config.rhythm.to_dict()
    shown = {name: options.pop(name) for name in rhythm_view.OPTIONS}
    view = rhythm_view.RhythmView(preprocess=Preprocess.from_config(config), **shown)
    return Rhythm(shown=view, seed=config.seed, **options)


def _activation_map(config: ConfigDict) -> Task:
    options = config.activation_map
    return ActivationMap(
        loss_name=options.loss,
        huber_ms=options.huber_ms,
        centre_ms=options.centre_ms,
        spread_ms=options.spread_ms,
        stretch=options.stretch,
        shown=HeartView.from_options(config, options),
    )


def _transmembrane(config: ConfigDict) -> Task:
    if config.preprocess.fs_hz != intracardiac.FS_HZ:
        raise InputError(f"preprocess.fs_hz is {config.preprocess.fs_hz}", f"leave the {intracardiac.FS_HZ:g} Hz of vm")
    options = config.transmembrane
    return Transmembrane(
        loss_name=options.loss,
        vm_scaling=options.vm_scaling,
        site_mean_mv=options.site_mean_mv,
        site_sd_mv=options.site_sd_mv,
        upstroke_weight=options.upstroke_weight,
        upstroke_ms=options.upstroke_ms,
        shown=HeartView.from_options(config, options),
    )


_BUILDERS: dict[str, Callable[[ConfigDict], Task]] = {
    "diagnosis": _diagnosis,
    "heartbeat": _heartbeat,
    "rhythm": _rhythm,
    "age": _age,
    "reversal": _reversal,
    "lead_id": _lead_id,
    "reconstruction": _reconstruction,
    "activation_map": _activation_map,
    "transmembrane": _transmembrane,
}


def build(config: ConfigDict) -> Task:
    """The task that `config` describes."""
    if config.task not in _BUILDERS:
        raise InputError(f"unknown task {config.task!r}", f"use one of {', '.join(_BUILDERS)}")
    with fitting_options():
        return _BUILDERS[config.task](config)
