"""When no row is valid: what the user may have meant."""

from __future__ import annotations

import shlex
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.grid.validity import is_null_island, is_on_earth

if TYPE_CHECKING:
    from gridcli.points.batch import PointBatch
    from gridcli.points.columns import ColumnChoice
    from gridcli.points.plan import ReadOptions

_SCALES = ("1e-5", "1e-6", "1e-7", "1e-8", "1e-9")
"""Coarsest first: data that covers more of the earth is the likelier reading."""
_NEARLY_ALL = 0.99
_PLAUSIBLE_PLANAR = 1e9
"""Coordinates of map projections in any usual unit stay below."""

_Floats = npt.NDArray[np.float64]


def suggest(sample: PointBatch, options: ReadOptions, choice: ColumnChoice) -> str | None:
    """Return the options that would make nearly all rows of a sample valid.

    To be asked when no row is valid as the options stand. Swapped columns are tried first, then
    for whole numbers a scale, then planar coordinates.

    Parameters
    ----------
    sample : PointBatch
        Some rows, as read with `options`.
    options : ReadOptions
    choice : ColumnChoice
        The coordinate columns that the sample was read from.

    Returns
    -------
    str or None
        E.g. ``--lat lon --lon lat``, ``--lat lat --lon lon --scale 1e-7`` or
        ``--planar --x x --y y``; None where nothing helps.

    Examples
    --------
    >>> from gridcli.points.batch import PointBatch
    >>> from gridcli.points.columns import ColumnChoice
    >>> from gridcli.points.plan import ReadOptions
    >>> sample = PointBatch(np.array([52.5]), np.array([113.4]))
    >>> suggest(sample, ReadOptions(), ColumnChoice("lon", "lat"))
    '--lat lon --lon lat'
    """
    if options.planar:
        return None
    lon, lat = _usable(sample)
    if len(lon) == 0:
        return None
    is_plausible_plane = float(max(np.abs(lon).max(), np.abs(lat).max())) <= _PLAUSIBLE_PLANAR
    is_geographic = bool(np.mean(is_on_earth(lon, lat)) >= _NEARLY_ALL)
    may_be_planar = is_plausible_plane and not is_geographic
    if choice.x is None or choice.y is None:
        return "--planar" if may_be_planar else None
    x, y = shlex.quote(choice.x), shlex.quote(choice.y)
    if _is_valid(lat, lon):
        scale = f" --scale {_shown(options.scale)}" if options.scale is not None else ""
        return f"--lat {x} --lon {y}{scale}"
    if options.scale is None:
        scale_text = _fitting_scale(lon, lat)
        if scale_text is not None and choice.x.casefold() != "x":
            return f"--lat {y} --lon {x} --scale {scale_text}"
    elif _is_valid(lon / float(options.scale), lat / float(options.scale)):
        return f"--lat {y} --lon {x}"
    return f"--planar --x {x} --y {y}" if may_be_planar else None


def _usable(sample: PointBatch) -> tuple[_Floats, _Floats]:
    """Return the finite coordinates of the rows whose reader found nothing wrong."""
    unit = 1.0 if sample.unit is None else float(sample.unit)
    lon, lat = sample.x.astype(np.float64) * unit, sample.y.astype(np.float64) * unit
    used = np.isfinite(lon) & np.isfinite(lat)
    if sample.reason is not None:
        used &= sample.reason == 0
    return lon[used], lat[used]


def _is_valid(lon: _Floats, lat: _Floats) -> bool:
    """Return whether nearly all are on the earth, and not at null island."""
    is_good = is_on_earth(lon, lat) & ~is_null_island(lon, lat)
    return bool(np.mean(is_good) >= _NEARLY_ALL)


def _fitting_scale(lon: _Floats, lat: _Floats) -> str | None:
    """Return the scale under which whole numbers are degrees."""
    if not ((np.floor(lon) == lon).all() and (np.floor(lat) == lat).all()):
        return None
    for text in _SCALES:
        scale = float(text)
        if _is_valid(lon * scale, lat * scale):
            return text
    return None


def _shown(scale: Fraction) -> str:
    return np.format_float_scientific(float(scale), trim="-", exp_digits=1)
