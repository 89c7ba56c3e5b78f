"""The hearts and bodies that the activation simulator draws from: means and spreads, with their sources.

Logs are natural, lengths in mm, velocities in mm/ms (equal to m/s), conductivities in mS/cm.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class GeometryPopulation:
    """Ventricles at the end of diastole; `_log_sd` is relative.

    Left ventricle: Kawel-Boehm et al., J Cardiovasc Magn Reson 2015, 17:29 (sizes), Kawel et al., Circ Cardiovasc
    Imaging 2012, 5:500 (walls). The right one: the mesh of Landajuela et al., Computing in Cardiology 2022, 49, and
    Ho and Nihoyannopoulos, Heart 2006, 92:i2 (wall).
    """

    size_log_sd: float = 0.06  # of everything
    radius_mm: float = 25.0  # endocardial, at the equator
    radius_log_sd: float = 0.05
    half_length_mm: float = 50.0  # from the equator to the apex
    half_length_log_sd: float = 0.05
    ovality_sd: float = 0.03  # lateral over inferior radius
    cone_sd: float = 0.04  # widening towards the apex
    wall_mm: float = 7.5
    wall_log_sd: float = 0.12
    septal_sd: float = 0.08  # septum against the lateral wall
    apical_wall: float = 0.9  # of the wall elsewhere
    rv_wall_mm: float = 4.0
    rv_wall_log_sd: float = 0.1
    bulge_mm: float = 44.0  # of the free wall beyond the insertions
    bulge_log_sd: float = 0.1
    bulge_turn_sd_deg: float = 5.0


@dataclasses.dataclass(frozen=True)
class BodyPopulation:
    """How the ventricles lie in the torso of `ecgjax.simulate.torso`.

    The mean long axis points to the left, the feet and the front: Engblom et al., Am Heart J 2005, 150:507.
    """

    apex: tuple[float, float, float] = (0.61, 0.56, -0.56)
    anterior: tuple[float, float, float] = (0.4, -0.91, -0.18)  # where the anterior wall faces, but for the long axis
    tilt_sd_deg: tuple[float, float, float] = (6.0, 6.0, 6.0)  # about the three axes of the torso


@dataclasses.dataclass(frozen=True)
class ConductionPopulation:
    """Velocities along and across the fibres, and along the endocardium where the Purkinje network spreads.

    Along: Taggart et al., J Mol Cell Cardiol 2000, 32:621. Across: Roberts et al., Circ Res 1979, 44:701. Endocardium,
    and the early sites of `pacing`: Durrer et al., Circulation 1970, 41:899. Fibres: Streeter et al., Circ Res 1969,
    24:339.
    """

    along_mm_ms: float = 0.65
    along_log_sd: float = 0.08
    across: float = 0.45  # of the velocity along
    across_log_sd: float = 0.08
    endo_mm_ms: float = 1.0
    endo_log_sd: float = 0.12
    endo_fibre_deg: float = 60.0
    epi_fibre_deg: float = -60.0
    fibre_sd_deg: float = 6.0
    scar: float = 0.08  # share of hearts
    scar_radius_mm: tuple[float, float] = (10.0, 20.0)


@dataclasses.dataclass(frozen=True)
class ActionPotentialPopulation:
    """Shapes and durations of action potentials.

    Durations, and that they are shorter where activation is late: Franz et al., Circulation 1987, 75:379; across the
    wall: Drouin et al., J Am Coll Cardiol 1995, 26:185. Restitution: Franz et al., J Clin Invest 1988, 82:972. Share of
    the rapid potassium current: O'Hara et al., PLoS Comput Biol 2011, 7:e1002061.
    """

    plateau_mv: float = 30.0  # peak
    upstroke_ms: float = 0.3  # logistic scale: 10 to 90 % in 4.4 of them
    apd_ms: float = 285.0  # to 90 %, at a cycle of 1000 ms
    apd_log_sd: float = 0.05
    repolarisation_ms: float = 28.0  # scale of the third phase
    slope: float = 0.2  # fall of the plateau in 300 ms, of the whole height
    notch: float = 0.12  # depth of the epicardial notch, of the height
    notch_ms: float = 12.0  # to its bottom
    transmural_ms: float = 16.0  # endocardium above epicardium
    transmural_sd_ms: float = 5.0
    apical_ms: float = 18.0  # base above apex
    apical_sd_ms: float = 5.0
    lateral_ms: float = 32.0  # septum above the lateral wall, which is activated late
    lateral_sd_ms: float = 4.0
    rv_ms: float = -8.0
    rv_sd_ms: float = 4.0
    bcl_ms: tuple[float, float] = (500.0, 1200.0)
    restitution: float = 0.8  # depth of the exponential restitution
    restitution_ms: float = 300.0
    gkr: tuple[float, float] = (0.5, 1.5)  # of the normal conductance
    gkr_power: float = -0.2


@dataclasses.dataclass(frozen=True)
class PatternPopulation:
    """How the ventricles are activated."""

    onset_ms: tuple[float, float] = (5.0, 40.0)
    paced_once: float = 0.5
    paced_twice: float = 0.15
    second_delay_ms: float = 30.0  # at most
    lbbb: float = 0.2  # of the Purkinje-like patterns
    rbbb: float = 0.2
    early_spread_mm: float = 6.0
    early_delay_sd_ms: float = 3.0
    rv_delay_ms: float = 3.0  # Durrer et al. 1970


@dataclasses.dataclass(frozen=True)
class SourcePopulation:
    """Intracellular conductivities: Roth, IEEE Trans Biomed Eng 1997, 44:326."""

    along_ms_per_cm: float = 1.7
    across_ms_per_cm: float = 0.3
    gain_log_sd: float = 0.1


GEOMETRY = GeometryPopulation()
BODY = BodyPopulation()
CONDUCTION = ConductionPopulation()
ACTION_POTENTIAL = ActionPotentialPopulation()
PATTERN = PatternPopulation()
SOURCE = SourcePopulation()
