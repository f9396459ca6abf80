"""How small a difference between two AUCs a test set can show.

    python benchmarks/power.py --pairs 10000 [--auc 0.67] [--agree 0.6 0.8] [--cells 8] [--power 0.8]

Variance of an AUC after Hanley and McNeil (1982); two methods on the same pairs, whose AUCs correlate by `agree`;
half of the pairs asymmetric; two-sided test at 0.05, and at 0.05 / CELLS, which the first step of Holm's
correction asks for. Pairs count as independent: two views of one woman are not, so the truth is worse, by 1.4 times at
most.
"""

from __future__ import annotations

import argparse
import math

from scipy.stats import norm


def deviation(auc: float, positive: int, negative: int) -> float:
    """Standard deviation of an AUC."""
    both, square = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    spread = (positive - 1) * (both - auc * auc) + (negative - 1) * (square - auc * auc)
    return math.sqrt((auc * (1 - auc) + spread) / (positive * negative))


def smallest(pairs: int, auc: float, agree: float, alpha: float, power: float) -> float:
    """The difference that is found with this power."""
    of_one = deviation(auc, pairs // 2, pairs - pairs // 2)
    return float(of_one * math.sqrt(2 * (1 - agree)) * (norm.isf(alpha / 2) + norm.isf(1 - power)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, required=True)
    parser.add_argument("--auc", type=float, default=0.67)
    parser.add_argument("--agree", type=float, nargs="+", default=[0.6, 0.8])
    parser.add_argument("--cells", type=int, default=8)
    parser.add_argument("--power", type=float, default=0.8)
    options = parser.parse_args()
    print(f"{options.pairs} pairs, AUC {options.auc}, power {options.power}")
    for agree in options.agree:
        at = [smallest(options.pairs, options.auc, agree, 0.05 / cells, options.power) for cells in (1, options.cells)]
        print(f"AUCs correlate by {agree}: {at[0]:.4f} at 0.05, {at[1]:.4f} at 0.05 / {options.cells}")


if __name__ == "__main__":
    main()
