"""What inversion recovery of tissue reads, beside the truth: python -m benchmarks.inversion_recovery.

Two exchanging pools, coils whose squares were summed, tissue without air around it, and selective inversion recovery
with its speed. Truths are stepped pulse by pulse or by matrix exponentials, with no formula shared with the fit.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy import stats

from bids_t1.estimation.curves.engine import EstimationOptions, estimate
from bids_t1.sequences.inversion_recovery import InversionRecovery
from bids_t1.sequences.multi_echo_gre import MultiEchoGradientEcho
from bids_t1.sequences.selective_inversion_recovery import SelectiveInversionRecovery
from tests.estimation import test_air as air
from tests.estimation import test_fast_component as slow
from tests.estimation import test_noise as coils
from tests.estimation.scenes import MODEL
from tests.sequences.test_selective_inversion_recovery import TD, TI, stepped

SELECTIVE = {
    "white matter, 3 T": (1 / 1.1, 0.15, -0.95),
    "grey matter, 3 T": (1 / 0.7, 0.08, -0.95),
    "white matter, 7 T": (1 / 0.8, 0.15, -0.90),
    "grey matter, 7 T": (1 / 0.5, 0.06, -0.90),
}
"""T1 [s], pool size ratio, and what the inversion leaves of free water."""


def print_slow_times() -> None:
    print("\n## Two pools, SNR 50, magnitudes: slow T1\n")
    print("| tissue (slow T1, s) | TI | one exponential | covers | fast component | covers | learned efficiency too |")
    print("|---|---|---|---|---|---|---|")
    for times in (slow.TEN, slow.SIXTEEN):
        for name, (t1, fraction, exchange, bound_rate, fast) in slow.TISSUES.items():
            images = slow.magnitudes(slow.signal(times, t1, fraction, exchange, bound_rate))
            one, two, learned = (
                estimate(slow.model(times, column), images, "magnitude", EstimationOptions(learn_ratio=learn))
                for column, learn in ((None, False), (fast, False), (fast, True))
            )
            bias = [100 * (np.median(found.time[: slow.N_VOXELS]) / t1 - 1) for found in (one, two, learned)]
            print(
                f"| {name} ({t1}) | {len(times)} from {1000 * times[0]:.0f} ms "
                f"| {bias[0]:+.1f} % | {100 * slow.covered(one, t1):.0f} % "
                f"| {bias[1]:+.1f} % | {100 * slow.covered(two, t1):.0f} % | {bias[2]:+.1f} % |"
            )


def print_coils() -> None:
    first, second = coils.T1
    print("\n## Sums of squares over coils: error of T1\n")
    print(f"| coils | SNR | coils found | at {first} s | at {second} s |\n|---|---|---|---|---|")
    for number in (8, 32):
        for snr in (25.0, 60.0):
            found = estimate(MODEL, coils.sum_of_squares(number, snr), "magnitude", EstimationOptions())
            times = found.time[: 2 * coils.N_VOXELS].reshape(2, -1)
            bias = 100 * (np.median(times, axis=1) / coils.T1 - 1)
            print(f"| {number} | {snr:.0f} | {found.noise.coils:.1f} | {bias[0]:+.2f} % | {bias[1]:+.2f} % |")


def print_air() -> None:
    recovery = InversionRecovery(
        inversion_times=air.INVERSION_TIMES, repetition_times=(10.0,) * len(air.INVERSION_TIMES)
    )
    echoes = MultiEchoGradientEcho(echo_times=air.ECHO_TIMES)
    cases = (
        ("T1", recovery, air.recovery, air.T1, EstimationOptions()),
        ("T2*", echoes, air.decay, air.T2STAR, EstimationOptions(time_range=(0.001, 1.0), noise="rician")),
    )
    print(f"\n## A ball of two tissues, M0 over noise {1 / air.SD:.0f}, {' x '.join(map(str, air.SHAPE))} voxels\n")
    print("| map | images | coil | estimated | largest bias | covers |\n|---|---|---|---|---|---|")
    for name, model, make, truth, options in cases:
        for cut, applied in air.CUTS.items():
            for gain in air.GAINS:
                images = applied(np.abs(air.noisy(make(gain)))).astype(np.float32)
                found = estimate(model, images, "magnitude", options)
                true = np.nan_to_num(applied(truth[None])[0])
                inside = true > 0
                bias = [100 * (np.nanmedian(found.time[true == one]) / one - 1) for one in np.unique(true[inside])]
                factor = stats.t.ppf(0.975, found.degrees_of_freedom)
                held = np.abs(found.time - true)[inside] < factor * found.time_sd[inside]
                print(
                    f"| {name} | {cut} | {gain} | {100 * np.isfinite(found.time[inside]).mean():.1f} % "
                    f"| {max(bias, key=abs):+.2f} % | {100 * held.mean():.1f} % |"
                )


def print_selective(n_voxels: int, n_threads: int) -> None:
    model = SelectiveInversionRecovery(inversion_times=TI, recovery_times=TD, n_pools=2)
    print("\n## Selective inversion recovery, SNR 100, magnitudes: median error, RMSE\n")
    print(f"| tissue | R1f | RMSE | PSR | RMSE | T1 held | voxels/s, {n_threads} threads | processor time, us |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (t1, ratio, left) in SELECTIVE.items():
        clean = np.repeat(np.array(stepped(t1, ratio, left))[:, None], n_voxels, axis=1)
        clean[:, : n_voxels // 4] = 0
        noise = np.random.default_rng(1).normal(0, 0.01, (2, *clean.shape))
        images = np.hypot(clean + noise[0], noise[1]).astype(np.float32)
        estimate(model, images[:, ::100].copy(), "magnitude", EstimationOptions(n_threads=n_threads))
        start, used = time.perf_counter(), time.process_time()
        found = estimate(model, images, "magnitude", EstimationOptions(n_threads=n_threads))
        wall, used = time.perf_counter() - start, time.process_time() - used
        tissue = slice(n_voxels // 4, None)
        r1, psr = t1 / found.time[tissue] - 1, found.share[tissue] / ratio - 1
        held = np.abs(found.time[tissue] - t1) < 1.96 * found.time_sd[tissue]
        spread = [100 * np.sqrt(np.nanmean(error**2)) for error in (r1, psr)]
        print(
            f"| {name} | {100 * np.nanmedian(r1):+.2f} % | {spread[0]:.1f} % | {100 * np.nanmedian(psr):+.1f} % "
            f"| {spread[1]:.0f} % | {100 * held.mean():.1f} % | {n_voxels / wall:,.0f} | {1e6 * used / n_voxels:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxels", type=int, default=400_000, help="of selective inversion recovery")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print_slow_times()
    print_coils()
    print_air()
    print_selective(options.voxels, options.threads)


if __name__ == "__main__":
    main()
