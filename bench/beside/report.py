"""The tables: what was measured, and each ratio of this one run beside its bar."""

from statistics import median

SIDES = ("original", "all in one", "split")
PEERS = ("plan", "hand")


def middle(rounds, what):
    return median(getattr(one, what) for one in rounds)


def ratio(over, under):
    return over / under if under else None


class Report:
    """Rounds by shape and side, and the verdicts on them."""

    def __init__(self):
        self.rounds, self.equal, self.notes = {}, {}, {}

    def add(self, shape, side, result):
        self.rounds.setdefault((shape.name, side), []).append(result)

    def of(self, shape, side, what):
        rounds = self.rounds.get((shape.name, side))
        return middle(rounds, what) if rounds else None

    def over(self, shape, ours, theirs, what):
        over, under = self.of(shape, ours, what), self.of(shape, theirs, what)
        return ratio(over, under) if over is not None and under is not None else None

    def verdicts(self, shape):
        """(what, figure, bar, as text, holds) of each bar that can be looked at."""
        bars, found = shape.bars, []

        def least(what, figure, bar, text):
            if figure is not None:
                found.append((what, text(figure), f">= {text(bar)}" if bar else "", bar is None or figure >= bar))

        def most(what, figure, bar, text):
            if figure is not None:
                found.append((what, text(figure), f"<= {text(bar)}" if bar else "", bar is None or figure <= bar))

        times, percent = (lambda x: f"{x:,.1f} x"), (lambda x: f"{100 * x:.0f} %")
        share = lambda x: f"1/{1 / x:.0f}" if 0 < x < 0.67 else f"{x:.2f}"
        least("requests/s over the original, all in one", self.over(shape, "all in one", "original", "rate"), bars.original, times)
        least("requests/s over the original, split", self.over(shape, "split", "original", "rate"), bars.original_split, times)
        least("requests/s of pgbench with the plan's SQL, all in one", self.over(shape, "all in one", "plan", "rate"), bars.peer, percent)
        least("requests/s of pgbench with the plan's SQL, split", self.over(shape, "split", "plan", "rate"), bars.peer_split, percent)
        most("p99 over the original's, all in one", self.over(shape, "all in one", "original", "p99"), bars.tail, share)
        most("server CPU for a request over the original's, PostgreSQL left out", self.over(shape, "all in one", "original", "cpu"), bars.cpu, share)
        most("time of the plan's SQL over the hand-written", self.over(shape, "hand", "plan", "rate"), 1.2, lambda x: f"{x:.2f} x")
        return found

    def show(self, shapes):
        print("\n| shape | side | requests/s | p50 ms | p99 ms | CPU ms/request | with PostgreSQL | load generator |")
        print("|---|---|---:|---:|---:|---:|---:|---:|")
        for shape in shapes:
            for side in SIDES + PEERS:
                if (shape.name, side) not in self.rounds:
                    continue
                of = lambda what: self.of(shape, side, what)
                bad = sum(one.bad for one in self.rounds[(shape.name, side)])
                name = {"plan": "pgbench, plan's SQL", "hand": "pgbench, by hand"}.get(side, side)
                served = side in SIDES
                cells = [shape.name, name, f"{of('rate'):,.0f}", f"{of('p50'):.2f}",
                         f"{of('p99'):.2f}" if served else "", f"{of('cpu'):.3f}" if served else "",
                         f"{of('cpu') + of('postgres'):.3f}", f"{100 * of('load'):.0f} %" + (f", {bad} refused" if bad else "")]
                print("| " + " | ".join(cells) + " |")
        print("\n| shape | ratio of this run | is | bar | |\n|---|---|---:|---:|---|")
        for shape in shapes:
            for what, figure, bar, holds in self.verdicts(shape):
                print(f"| {shape.name} | {what} | {figure} | {bar} | {'' if not bar else 'holds' if holds else 'MISSED'} |")
        if self.equal:
            print("\n| shape | answers of all sides, and of the SQL by hand |\n|---|---|")
        for shape in shapes:
            if shape.name in self.equal:
                print(f"| {shape.name} | {self.equal[shape.name]} |")
        if self.notes:
            print("\n| write | items in a request | items/s | statements for one request, backlog |\n|---|---:|---|---|")
        for shape in shapes:
            if shape.name in self.notes:
                rates = [f"{side} {self.of(shape, side, 'rate') * shape.items:,.0f}" for side in SIDES + PEERS
                         if (shape.name, side) in self.rounds]
                print(f"| {shape.name} | {shape.items:,} | {', '.join(rates)} | {self.notes[shape.name]} |")

    def json(self, shapes):
        return [
            {
                "shape": shape.name,
                "answers": self.equal.get(shape.name),
                "notes": self.notes.get(shape.name),
                "sides": {side: [vars(one) for one in self.rounds[(shape.name, side)]]
                          for side in SIDES + PEERS if (shape.name, side) in self.rounds},
                "bars": [{"what": what, "is": figure, "bar": bar, "holds": holds}
                         for what, figure, bar, holds in self.verdicts(shape)],
            }
            for shape in shapes
        ]
