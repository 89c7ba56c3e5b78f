"""What figures are called on a page, and their values as text."""

import re
from collections.abc import Mapping

_LABELS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "macro_f1": "macro F1",
    "macro_auroc": "macro AUROC",
    "macro_auprc": "macro AUPRC",
    "challenge_f2": "challenge F2",
    "challenge_g2": "challenge G2",
    "bias_years": "mean error (years)",
    "error_sd_years": "error's deviation (years)",
    "coverage_68pct": "inside the 68 % interval",
    "coverage_95pct": "inside the 95 % interval",
    "coverage_error": "interval calibration error",
    "negative_log_likelihood": "negative log likelihood",
    "ece": "calibration error",
    "brier": "Brier score",
    "r2": "R²",
    "pearson_r": "Pearson r",
    "f1": "F1",
    "f1_ano": "F1 (A, N, O)",
    "recording_accuracy": "accuracy, mean over recordings",
    "recording_f1_v": "F1 of V, mean over recordings",
}
_UNITS = {"years": "years", "ms": "ms", "mv": "mV", "db": "dB"}
_SHARES = (
    "accuracy",
    "coverage",
    "detected",
    "not_injective",
    "precision",
    "recall",
    "specificity",
    "sensitivity",
    "ppv",
    "repair",
)


def words(name: str) -> str:
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def label_of(name: str) -> str:
    """`ppv_at_2pct` as `PPV at 2 %`, `mae_years` as `MAE (years)`."""
    base, at, rest = name.partition("_at_")
    if base in _LABELS:
        return _LABELS[base] + re.sub(r"^_at_([\d.]+)pct", r" at \1 %", at + rest).replace("_", " ")
    stem, _, suffix = name.rpartition("_")
    unit = f" ({_UNITS[suffix]})" if stem and suffix in _UNITS else ""
    text = stem if unit else name
    text = re.sub(r"_at_([\d.]+)pct", r" at \1 %", text).replace("_", " ")
    return re.sub(r"\b(ppv|mae|rmse|snr|f1|auroc|auprc)\b", lambda m: m[0].upper(), text) + unit


def is_share(name: str) -> bool:
    return any(re.search(rf"(^|_){stem}(_|$)", name) for stem in _SHARES)


def formatted(name: str, entry: Mapping | None) -> tuple[str, str]:
    """Value and interval as text."""
    if entry is None or entry["value"] is None:
        return "–", ""
    scale, digits = (100, ".1f") if is_share(name) else (1, ".3f" if abs(entry["value"]) < 2 else ".2f")
    unit = " %" if is_share(name) else ""
    interval = entry["ci95"]
    bounds = f"{scale * interval[0]:{digits}} – {scale * interval[1]:{digits}}" if interval else ""
    return f"{scale * entry['value']:{digits}}{unit}", bounds
