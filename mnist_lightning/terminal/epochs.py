"""The table of a run's epochs on the terminal: a header once, then a line for each epoch."""

from collections.abc import Iterable, Mapping

NARROWEST = 6  # of a column: 0.1234


class EpochTable:
    """Writes each epoch as a line of columns: 58 characters with held-out images, 42 without."""

    def __init__(self, metrics: Iterable[str]) -> None:
        self.columns = {name: width(name) for name in metrics}
        self.is_headed = False

    def header(self) -> str:
        """Return the two lines above the numbers: "train" above "loss"."""
        self.is_headed = True
        columns = [(*name.split("/", 1), size) for name, size in self.columns.items()]
        above = "".join(f"  {stage:>{size}}" for stage, _, size in columns)
        below = "".join(f"  {metric:>{size}}" for _, metric, size in columns)
        return f"{'':5}{above}\nepoch{below}     time"

    def line(self, epoch: str, measured: Mapping[str, float], seconds: float | None = None, note: str = "") -> str:
        """Return the line of an epoch, below a header where there is none yet or a metric is new."""
        if new := [name for name in measured if name not in self.columns]:
            self.columns |= {name: width(name) for name in new}
            self.is_headed = False
        cells = {name: shown(name, measured[name]) if name in measured else "" for name in self.columns}
        text = "".join(f"  {cells[name]:>{size}}" for name, size in self.columns.items())
        time = "" if seconds is None else f"{seconds:.1f} s"
        line = f"{epoch:>5}{text}  {time:>7}  {note}".rstrip()
        return line if self.is_headed else f"{self.header()}\n{line}"

    def report(self, epoch: str, loss: float, note: str) -> str:
        """Return the line of a step: the loss of its batch where the epoch's stands."""
        size = next(iter(self.columns.values()))
        return f"{epoch:>5}  {shown('loss', loss):>{size}}  {note}"


def width(metric: str) -> int:
    return max(NARROWEST, *map(len, metric.split("/")))


def shown(metric: str, number: float) -> str:
    """Return a measure as it is read: an accuracy in percent, others with six characters."""
    if metric.endswith("accuracy"):
        return f"{number:.2%}"
    return f"{number:.4f}"[:NARROWEST].rstrip(".") if abs(number) < 1e5 else f"{number:.1e}"
