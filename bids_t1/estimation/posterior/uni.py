"""UNI, the normalised product of two readouts: its value, its robust form and its exact probability density.

S = Re(conj(g1) g2) / (|g1|^2 + |g2|^2), Marques et al. 2010, doi 10.1016/j.neuroimage.2009.10.002.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

BETA_IN_SDS = 5.0
"""Square root of beta over the noise SD: the background of robust UNI is then near -0.46, tissue within 1 % at a
signal-to-noise ratio of 50."""


def compute_uni(first: Tensor, second: Tensor) -> Tensor:
    """Return S of complex or real readouts; NaN where both are zero."""
    product, energy = _product_and_energy(first, second)
    return product / energy


def compute_robust_uni(first: Tensor, second: Tensor, beta: float) -> Tensor:
    """Return S with its background driven to -1/2 (O'Brien et al. 2014, doi 10.1371/journal.pone.0099676)."""
    product, energy = _product_and_energy(first, second)
    return (product - beta) / (energy + 2 * beta)


def choose_beta(noise_sd: float) -> float:
    """Return the regularisation of robust UNI for a noise SD, in squared units of the images."""
    return (BETA_IN_SDS * noise_sd) ** 2


def log_density_of_uni(uni: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return the log of the probability density of S, exactly.

    With Gaussian noise of SD 1 in each real and imaginary channel, u = (g1 + g2) / sqrt(2) and
    v = (g1 - g2) / sqrt(2) are independent and ``S + 1/2 = |u|^2 / (|u|^2 + |v|^2)`` is doubly noncentral
    Beta(1, 1). Its density has a closed form through Weber's second exponential integral. The exponent is written as
    a square, which neither overflows nor cancels.

    Parameters
    ----------
    uni
        S, in [-1/2, 1/2]; zero density (-inf) outside.
    first, second
        Noise-free readouts over the noise SD, with their signs; all three broadcast.
    """
    share_u = (uni + 0.5).clamp(0.0, 1.0)
    share_v = 1 - share_u
    u, v = (first + second).abs() / math.sqrt(2), (first - second).abs() / math.sqrt(2)
    alpha, beta = u * share_u.sqrt(), v * share_v.sqrt()
    mismatch = u * share_v.sqrt() - v * share_u.sqrt()
    product = alpha * beta
    bessel = (2 + alpha.square() + beta.square()) * torch.special.i0e(product)
    bessel = bessel + 2 * product * torch.special.i1e(product)
    log_density = torch.log(bessel / 2) - mismatch.square() / 2
    return torch.where(uni.abs() <= 0.5, log_density, -math.inf)  # noqa: PLR2004 - the range of S


def log_density_of_wandering_uni(uni: Tensor, first: Tensor, second: Tensor, variance: Tensor) -> Tensor:
    """Return the log of the probability density of S where the readouts turn in their own plane.

    What turns them moves them in phase with one another. Taken as noise of all four channels, which
    `log_density_of_uni` holds for, it would keep S from +-1/2, where one S has two relaxation times. There u or v is
    zero, and the angle between it and what is measured is integrated with a weight of its own,

        1/pi integral exp(x cos(phi) - q/2 sin(phi)^2) dphi ~ cosh(x) I0(x + q) / cosh(x + q)

    which is exact for q = 0, and for large x or q; elsewhere within 15 %.

    Parameters
    ----------
    uni
        S.
    first, second
        Noise-free readouts over the noise SD.
    variance
        Of the direction of the readouts [rad^2]; all four broadcast.
    """
    added = (first.square() + second.square()) * variance
    scale = torch.rsqrt(1 + added)
    first, second = first * scale, second * scale
    share = (0.25 - uni.square()).clamp_min(0.0)
    energy = first.square() + second.square()
    along = (first.square() - second.square()).abs() / 2 * share.sqrt()
    both = along + share * energy * added
    turned = torch.log1p(torch.exp(-2 * along)) - torch.log1p(torch.exp(-2 * both))
    turned = turned + torch.log(torch.special.i0e(both) / torch.special.i0e(along)) + torch.log1p(added) / 2
    return log_density_of_uni(uni, first, second) + turned


def _product_and_energy(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    if first.is_complex():
        product = first.real * second.real + first.imag * second.imag
        energy = first.real.square() + first.imag.square() + second.real.square() + second.imag.square()
        return product, energy
    return first * second, first.square() + second.square()
