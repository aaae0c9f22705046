"""Quantiles out of histograms, and the table of figures beside their bars."""

import re
import time


def buckets(text, name, label=""):
    """Upper bounds and cumulated counts of a histogram in Prometheus's text form."""
    found = {}
    for line in text.splitlines():
        fits = re.match(rf"{name}_bucket{{(.*)}} (\S+)$", line)
        if fits and label in fits.group(1):
            bound = re.search(r'le="([^"]+)"', fits.group(1)).group(1)
            found[float(bound.replace("+Inf", "inf"))] = float(fits.group(2))
    return found


def quantile(before, after, share):
    """In milliseconds, within its bucket by straight line; what is above the last bound counts as that bound."""
    bounds = sorted(after)
    counts = [after[bound] - before.get(bound, 0.0) for bound in bounds]
    if not bounds or counts[-1] == 0:
        raise SystemExit("bench: nothing was measured: is the program older than this script?")
    wanted, low, below = share * counts[-1], 0.0, 0.0
    for bound, count in zip(bounds, counts):
        if count >= wanted:
            if bound == float("inf"):
                return 1000 * low
            return 1000 * (low + (bound - low) * (wanted - below) / max(count - below, 1e-9))
        low, below = bound, count
    return 1000 * low


class Report:
    """Figures beside their bars. A figure without a bar is stated."""

    def __init__(self):
        self.rows, self.begun = [], time.time()

    def at_least(self, name, figure, bar, unit, note=""):
        self.row(name, f"{figure:,.0f} {unit}", f">= {bar:,} {unit}", figure >= bar, note)

    def at_most(self, name, figure, bar, unit, note=""):
        self.row(name, f"{figure:.1f} {unit}", f"<= {bar} {unit}", figure <= bar, note)

    def none(self, name, figure, note=""):
        self.row(name, f"{figure:,}", "0", figure == 0, note)

    def equal(self, name, one, other, note=""):
        self.row(name, "equal" if one == other else f"{one} / {other}", "equal", one == other, note)

    def stated(self, name, figure, unit, note=""):
        self.row(name, f"{figure:,.0f} {unit}", "", None, note)

    def row(self, name, figure, bar, holds, note):
        verdict = {None: "", True: "holds", False: "MISSED"}[holds]
        self.rows.append((name, figure, bar, verdict, note))

    def show(self):
        print("| | measured | bar | | |\n|---|---:|---:|---|---|")
        for row in self.rows:
            print("| " + " | ".join(row) + " |")
        print(f"\n{time.time() - self.begun:.0f} s in all")
