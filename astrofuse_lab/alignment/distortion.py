"""SIP distortion (Shupe et al. 2005, ASPC 347, 491), many images at once: forward by its polynomials, inverse by Newton's method.

The polynomials AP and BP that a header may hold are fits, good to some hundredths of a pixel; what is solved here is A and B
themselves, as wcslib's users do.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.errors import AlignmentError

TERM = re.compile(r"([AB])_(\d)_(\d)")
TURNS = 30  # Newton's method needs three to six; what needs more does not converge
CLOSE = 1e-9  # pixels
PROBES = 9  # along either side of an image, where its inverse is looked for


def sip_terms(header: Mapping[str, float | int | str]) -> NDArray[np.float64] | None:
    """Coefficients A and B of a header, (2, power of u, power of v); None where it has no distortion.

    Raises
    ------
    AlignmentError
        If only one of the two polynomials is there, or a coefficient is no number.
    """
    orders = {"A": header.get("A_ORDER"), "B": header.get("B_ORDER")}
    if all(order is None for order in orders.values()):
        return None
    if not all(isinstance(order, int) and 0 <= order <= 9 for order in orders.values()):
        raise AlignmentError(f"wcs has a SIP distortion of orders A {orders['A']!r} and B {orders['B']!r}; both have to be whole numbers, 0 to 9.")
    terms, most = np.zeros((2, 10, 10)), 0
    for key, value in header.items():
        if key[:2] in ("A_", "B_") and (found := TERM.fullmatch(key)):
            i, j, order = int(found[2]), int(found[3]), orders[found[1]]
            if i + j <= order:  # type: ignore[operator]
                terms[int(key[0] == "B"), i, j], most = float(value), max(most, i, j)
    if not np.isfinite(terms).all():
        raise AlignmentError("wcs has a SIP coefficient that is no finite number.")
    return np.ascontiguousarray(terms[:, : most + 1, : most + 1])


def stacked(terms: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Coefficients of several images, with zeros for the powers that others have: (image, 2, power, power)."""
    most = max(one.shape[-1] for one in terms)
    out = np.zeros((len(terms), 2, most, most))
    for there, one in zip(out, terms, strict=True):
        there[:, : one.shape[-1], : one.shape[-1]] = one
    return out


def undistorted(u: Tensor, v: Tensor, terms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where pixels would lie without distortion, and how that changes with them.

    Parameters
    ----------
    u, v : Tensor, (image, point)
        Pixels from the reference pixel.
    terms : Tensor, (image, 2, power, power)

    Returns
    -------
    fu, fv : Tensor, (image, point)
    jacobian : Tensor, (image, point, 2, 2)
        Derivatives of (fu, fv) by (u, v).
    """
    order = torch.arange(1.0, terms.shape[-1], dtype=u.dtype, device=u.device)
    (pu, du), (pv, dv) = (_powers(w, order) for w in (u, v))
    along, across = (p[:, None] @ terms for p in (pu, du))  # (image, 2, point, power)
    moved, by_u, by_v = (along * pv[:, None]).sum(-1), (across * pv[:, None]).sum(-1), (along * dv[:, None]).sum(-1)
    jacobian = torch.stack([by_u, by_v], -1).transpose(1, 2) + torch.eye(2, dtype=u.dtype, device=u.device)
    return u + moved[:, 0], v + moved[:, 1], jacobian


def _powers(w: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """1, w, w^2, ... and their derivatives: (image, point, power)."""
    power = torch.cat([torch.ones_like(w)[..., None], w[..., None].expand(*w.shape, len(order))], -1).cumprod(-1)
    return power, torch.cat([torch.zeros_like(w)[..., None], power[..., :-1] * order], -1)


def distorted(fu: Tensor, fv: Tensor, terms: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of `undistorted`: pixels from the reference pixel, NaN where there are none."""
    u, v = fu.clone(), fv.clone()
    for _ in range(TURNS):
        gu, gv, j = undistorted(u, v, terms)
        ru, rv = fu - gu, fv - gv
        if not bool(((ru.abs() > CLOSE) | (rv.abs() > CLOSE)).any()):  # NaN is not waited for
            break
        det = j[..., 0, 0] * j[..., 1, 1] - j[..., 0, 1] * j[..., 1, 0]
        u = u + (j[..., 1, 1] * ru - j[..., 0, 1] * rv) / det
        v = v + (j[..., 0, 0] * rv - j[..., 1, 0] * ru) / det
    else:
        gu, gv, _ = undistorted(u, v, terms)
        lost = ~((fu - gu).abs() + (fv - gv).abs() <= 1e-6)
        u, v = torch.where(lost, torch.nan, u), torch.where(lost, torch.nan, v)
    return u, v


def has_inverse(terms: NDArray[np.float64], crpix: NDArray[np.float64], shape: tuple[int, int]) -> bool:
    """Whether the distortion does not fold within an image of so many rows and columns: its Jacobian keeps its sign."""
    i, j = np.indices(terms.shape[1:])
    reach = max(*np.abs(crpix), *(abs(n - c) for n, c in zip(shape[::-1], crpix, strict=True)), 1.0)
    if (np.abs(terms) * (i + j) * reach ** np.maximum(i + j - 1, 0)).sum() < 0.5:  # no derivative can be large
        return True
    y, x = (np.linspace(-0.5, n - 0.5, PROBES) - c for n, c in zip(shape, crpix[::-1], strict=True))
    u, v = (torch.from_numpy(w.reshape(1, -1)) for w in np.meshgrid(x, y))
    jacobian = undistorted(u, v, torch.from_numpy(terms)[None])[2]
    return bool((torch.linalg.det(jacobian) > 0).all())
