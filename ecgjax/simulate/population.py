"""The population that the simulator draws from: means, spreads and prevalences; `vectors` holds the dipoles'.

Where they come from: [L] the literature named beside them, [C] calibration, i.e. means and spreads over the
training folds 1-8 of PTB-XL (Wagner et al., Sci Data 2020, 7:154), never a single record. Vectors are (x to the
left, y to the feet, z to the back); dipoles in mA cm.
"""

import dataclasses

RHYTHMS = ("sinus", "afib", "flutter")
CONDUCTIONS = ("normal", "irbbb", "rbbb", "lbbb", "lafb", "rbbb+lafb", "ivcd")
INFARCTS = ("none", "anterior", "inferior", "lateral", "inferolateral")
BEATS = ("sinus", "atrial", "ventricular")
"""Kinds of beat: conducted from the sinus node (or the fibrillating atria), atrial and ventricular ectopic."""


@dataclasses.dataclass(frozen=True)
class TorsoPopulation:
    """A sphere; positions in units of its radius, [C] unless named.

    The mean lies between the geometry that gives Dower's matrix (Clin Cardiol 1980, 3:87-95) and the one in
    whose three-dimensional range the P, QRS and T waves of PTB-XL lie best: its lead I is larger than Dower's.
    """

    radius_cm: float = 13.0
    conductivity_ms_per_cm: float = 2.0  # [L] 0.2 S/m, Rush et al., Circ Res 1963, 12:40
    radius_per_stoutness: float = 0.06  # per 10 kg/m2 of body mass index above 25
    heart: tuple[float, ...] = (0.15, -0.03, -0.345)
    heart_sd: tuple[float, ...] = (0.025, 0.03, 0.025)
    heart_per_stoutness: tuple[float, ...] = (0.0, -0.04, 0.02)
    azimuth_deg: tuple[float, ...] = (-20.0, 18.0, 32.5, 52.0, 69.0, 81.5)  # V1..V6
    height: tuple[float, ...] = (0.10, 0.00, 0.12, 0.21, 0.18, 0.13)
    strip_azimuth_sd_deg: float = 3.0
    azimuth_sd_deg: float = 3.0  # [L] 1-2 cm between technicians, Wenger and Kligfield, J Electrocardiol 1996, 29:179
    strip_height_sd: float = 0.05
    height_sd: float = 0.03
    limb_azimuth_deg: tuple[float, ...] = (-74.0, 76.0, 0.0)  # RA, LA, LL
    limb_height: tuple[float, ...] = (-0.75, -0.63, 0.95)
    limb_height_sd: float = 0.02


@dataclasses.dataclass(frozen=True)
class SubjectPopulation:
    """Who comes to the recorder. Prevalences are those of a hospital, at the mean age; `_log_odds` is by 10 years."""

    age_years: float = 61.0  # [C] 61 +- 17, from 17 to 95
    age_sd: float = 17.5
    age_range_years: tuple[float, float] = (17.0, 95.0)
    male: float = 0.52
    height_cm: tuple[float, float] = (164.0, 176.5)  # women, men
    height_sd: float = 7.0
    bmi: float = 26.0
    bmi_log_sd: float = 0.15
    afib: float = 0.033  # [C]; log odds [L] Feinberg et al., Arch Intern Med 1995, 155:469
    afib_log_odds: float = 0.6
    flutter: float = 0.004
    conduction: tuple[float, ...] = (0.778, 0.055, 0.022, 0.018, 0.075, 0.017, 0.035)  # [C] order of CONDUCTIONS
    conduction_log_odds: float = 0.25
    infarct: tuple[float, ...] = (0.81, 0.085, 0.08, 0.01, 0.015)  # [C] order of INFARCTS
    infarct_log_odds: float = 0.25
    hypertrophy: float = 0.09  # [C] left ventricular
    hypertrophy_log_odds: float = 0.2
    abnormal_t: float = 0.26  # [C] flat or inverted T of any cause, without infarct
    abnormal_t_log_odds: float = 0.25
    low_voltage: float = 0.02
    long_pr: float = 0.045  # [C] PR > 200 ms
    long_pr_log_odds: float = 0.35
    atrial_ectopy: float = 0.05
    ventricular_ectopy: float = 0.06
    ectopy_log_odds: float = 0.3
    bradycardia: float = 0.03
    tachycardia: float = 0.04
    sinus_arrhythmia: float = 0.035


@dataclasses.dataclass(frozen=True)
class RhythmPopulation:
    """Intervals between beats."""

    rate_bpm: float = 69.0  # [C]
    rate_log_sd: float = 0.17
    rate_female_bpm: float = 3.0
    bradycardia_bpm: tuple[float, float] = (42.0, 55.0)
    tachycardia_bpm: tuple[float, float] = (100.0, 145.0)
    afib_rate_bpm: float = 88.0  # [C]
    afib_rate_log_sd: float = 0.24
    afib_rr_cv: float = 0.21  # [L] Hayano et al., Am J Physiol 1997, 273:H2811
    afib_rr_cv_log_sd: float = 0.2
    respiratory: float = 0.025  # amplitude over mean RR at 50 years; [L] Umetani et al., JACC 1998, 31:593
    respiratory_log_sd: float = 0.6
    respiratory_log_per_decade: float = -0.18
    sinus_arrhythmia_gain: float = 3.0
    most_respiratory: float = 0.2
    mayer: float = 0.015  # the 0.1 Hz vasomotor wave
    mayer_log_sd: float = 0.5
    white: float = 0.008
    breath_hz: float = 0.25
    breath_sd_hz: float = 0.05
    coupling_atrial: tuple[float, float] = (0.58, 0.82)  # of the sinus interval
    coupling_ventricular: tuple[float, float] = (0.52, 0.75)
    shortest_rr_s: float = 0.31
    ectopic_share: tuple[float, float] = (0.06, 0.35)  # of the beats, log-uniform
    flutter_hz: float = 4.8
    f_wave_hz: float = 6.2  # [L] 4-9 Hz, Stridh and Sornmo, IEEE Trans Biomed Eng 2001, 48:105
    f_wave_sd_hz: float = 0.9
    f_wave_ma_cm: float = 0.055
    f_wave_log_sd: float = 0.5


@dataclasses.dataclass(frozen=True)
class HeartPopulation:
    """Intervals, and what scales and turns the dipoles of `vectors`. Logs are natural."""

    pr_ms: float = 154.0
    pr_sd_ms: float = 21.0
    pr_per_decade_ms: float = 2.5
    pr_range_ms: tuple[float, float] = (112.0, 200.0)  # without long PR
    pr_beyond_p_ms: float = 12.0  # at least
    long_pr_ms: tuple[float, float] = (202.0, 290.0)
    p_ms: float = 114.0
    p_sd_ms: float = 11.0
    qrs_ms: float = 86.0  # women; men 4 ms more
    qrs_male_ms: float = 4.0
    qrs_log_sd: float = 0.10
    qtc_ms: float = 396.0  # Fridericia; women 10 ms more
    qtc_female_ms: float = 10.0
    qtc_sd_ms: float = 22.0
    qt_memory: float = 0.75  # share of the mean RR, the rest being the last RR, in what sets QT
    rotation_deg: tuple[float, float, float] = (2.0, 4.0, 3.0)  # about x, y, z: beyond what the modes hold
    frontal_deg: float = 6.0  # about z, mean; [C] least squares leaves lead II too small, this restores it
    stoutness_deg: float = -6.0  # about z, per 10 kg/m2 of body mass index above 25: a stout heart lies flat
    conduction_qrs_ms: tuple[tuple[float, float], ...] = (
        (0, 0),  # normal: as drawn above
        (98, 116),
        (122, 152),
        (124, 158),
        (88, 114),
        (124, 154),
        (108, 130),
    )
    hypertrophy_qrs_ms: float = 6.0
    ventricular_qrs_ms: tuple[float, float] = (125.0, 175.0)
    mode_gain: float = 0.8  # [C] the torso's own spread and the fit's error account for the rest
    residual_gain: float = 0.4  # most of the residual is the fit's own error
    remarkable_spread: float = 1.05  # of modes and residual, in anyone with a diagnosis
    change_size: tuple[float, float] = (0.5, 1.6)  # of what a diagnosis adds on average
    p_log_sd: float = 0.1
    t_log_sd: float = 0.1
    qrs_log_mean: float = 0.2  # [C] gain of the QRS at 50 years, women
    qrs_log_sd_gain: float = 0.21
    qrs_log_per_decade: float = -0.04
    qrs_log_male: float = 0.169
    qrs_log_hypertrophy: float = 0.44
    qrs_log_lbbb: float = 0.5
    low_voltage_gain: float = 0.5
    ectopic_bias: tuple[tuple[float, float, float], ...] = ((0.3, 0.5, 0.0), (0.2, 0.3, 0.2))  # atrial, ventricular
    ectopic_ma_cm: tuple[float, float] = (0.07, 1.6)
    ectopic_offset: tuple[tuple[float, float, float], ...] = (  # p_ectopic, ventricular_early, _late, _t
        (-0.05, -0.14, 0.04),
        (0.02, 0.02, -0.02),
        (0.04, 0.02, 0.02),
        (0.04, 0.02, 0.00),
    )
    breath_shift: tuple[float, float, float] = (0.0, 0.035, 0.0)  # of the heart's centre, in torso radii
    breath_shift_log_sd: float = 0.6


@dataclasses.dataclass(frozen=True)
class RecorderPopulation:
    """Noise at the electrodes: medians over records, spread log-normally. [C] below 0.5 Hz and from 25 to 45 Hz."""

    wander_mv: float = 0.03
    wander_log_sd: float = 0.75
    wander_by_electrode: tuple[float, ...] = (0.8, 0.8, 1.0, *6 * (1.4,))  # order of `leads.ELECTRODES`
    wander_hz: tuple[float, float] = (0.05, 0.6)
    muscle_uv_per_rt_hz: float = 0.85
    muscle_log_sd: float = 0.6
    muscle_by_electrode: tuple[float, ...] = (1.0, 1.25, 0.55, *6 * (0.36,))
    burst: float = 0.08  # share of records with a muscle burst
    burst_gain: float = 5.0
    mains_hz: tuple[float, float] = (50.0, 60.0)
    mains_60: float = 0.3
    mains_mv: float = 0.004
    mains_log_sd: float = 1.0
    motion: float = 0.04  # share of records with electrode motion
    motion_mv: float = 0.3
    electrode_log_sd: float = 0.4  # between the electrodes of one record


TORSO = TorsoPopulation()
SUBJECT = SubjectPopulation()
RHYTHM = RhythmPopulation()
HEART = HeartPopulation()
RECORDER = RecorderPopulation()
