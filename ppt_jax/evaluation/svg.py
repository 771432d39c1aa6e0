"""Small charts as inline SVG text: axes, lines, bands, bars and dots, coloured by CSS classes.

Colours live in the page's style sheet (light, dark and print), so a chart only names roles: a
series class such as ``after`` sets the CSS variable ``--c``. Every chart carries a title and a
description for screen readers, and all text is escaped.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np


def escape(text: object) -> str:
    """Text that is safe inside HTML and SVG elements and quoted attributes."""
    cleaned = "".join(ch for ch in str(text) if ch in "\t\n" or ord(ch) >= 32)
    return html.escape(cleaned, quote=True)


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round tick values within [low, high], about ``count`` of them.

    Example:
      >>> nice_ticks(0, 100)
      [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
    """
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _short(value: float) -> str:
    return f"{value:.4g}"


class Panel:
    """One chart under construction; `svg` gives its text.

    Args:
      title: short title, drawn above the plot and read out.
      description: a sentence for screen readers that says what the chart shows.
      x, y: data ranges (low, high).
      x_label, y_label: axis labels with units.
      width, height: size in CSS pixels at full width.
      left: room for y tick labels.
      y_ticks: draw ticks and grid lines of the y axis.
      log_y: logarithmic y axis.
    """

    def __init__(
        self,
        title: str,
        description: str,
        x: tuple[float, float],
        y: tuple[float, float],
        x_label: str = "",
        y_label: str = "",
        *,
        width: int = 340,
        height: int = 230,
        left: int = 46,
        y_ticks: bool = True,
        log_y: bool = False,
    ) -> None:
        self.title, self.description = title, description
        self.width, self.height = width, height
        self._log_y = log_y
        self._x = x if x[1] > x[0] else (x[0] - 0.5, x[0] + 0.5)
        self._y = y if y[1] > y[0] else (y[0] - 0.5, y[0] + 0.5)
        self._left, self._right, self._top, self._bottom = left, width - 12, 30, height - 40
        self._marks: list[str] = []
        self._axes(x_label, y_label, y_ticks)

    def px(self, x: float) -> float:
        """Horizontal pixel of a data value."""
        low, high = self._x
        share = (min(max(x, low), high) - low) / (high - low)
        return round(self._left + share * (self._right - self._left), 2)

    def py(self, y: float) -> float:
        """Vertical pixel of a data value."""
        low, high = self._y
        if self._log_y:
            y, low, high = (math.log10(max(v, 1e-12)) for v in (y, low, high))
        share = (min(max(y, low), high) - low) / (high - low)
        return round(self._bottom - share * (self._bottom - self._top), 2)

    def _axes(self, x_label: str, y_label: str, y_ticks: bool) -> None:
        marks, bottom = self._marks, self._bottom
        if y_ticks:
            if self._log_y:
                powers = [10.0**e for e in range(math.floor(math.log10(self._y[0])), 12)]
                values = [m * power for power in powers for m in (1, 2, 5)]
                ticks = [v for v in values if self._y[0] <= v <= self._y[1]]
            else:
                ticks = nice_ticks(*self._y, 4)
            for value in ticks:
                at = self.py(value)
                marks.append(f'<path class="grid" d="M{self._left} {at}H{self._right}"/>')
                marks.append(
                    f'<text class="tick" x="{self._left - 6}" y="{at + 3.5}" text-anchor="end">'
                    f"{_short(value)}</text>"
                )
        for value in nice_ticks(*self._x, 5):
            at = self.px(value)
            marks.append(f'<path class="axis" d="M{at} {bottom}v4"/>')
            marks.append(
                f'<text class="tick" x="{at}" y="{bottom + 16}" text-anchor="middle">'
                f"{_short(value)}</text>"
            )
        marks.append(f'<path class="axis" d="M{self._left} {bottom}H{self._right}"/>')
        middle = (self._left + self._right) / 2
        if x_label:
            marks.append(
                f'<text class="label" x="{middle}" y="{self.height - 6}" text-anchor="middle">'
                f"{escape(x_label)}</text>"
            )
        if y_label:
            marks.append(
                f'<text class="label" x="{self._right}" y="14" text-anchor="end">'
                f"{escape(y_label)}</text>"
            )

    def _points(self, x: Sequence[float], y: Sequence[float]) -> list[list[tuple[float, float]]]:
        """Pixel runs without gaps; NaN breaks a run."""
        runs: list[list[tuple[float, float]]] = [[]]
        for a, b in zip(x, y, strict=True):
            if math.isfinite(a) and math.isfinite(b):
                runs[-1].append((self.px(float(a)), self.py(float(b))))
            elif runs[-1]:
                runs.append([])
        return [run for run in runs if run]

    def line(self, x: Sequence[float], y: Sequence[float], series: str, extra: str = "") -> None:
        """A line in the colour of a series; ``extra`` adds classes (``dashed``, ``thin``)."""
        for run in self._points(x, y):
            path = "M" + "L".join(f"{a} {b}" for a, b in run)
            self._marks.append(f'<path class="line {series} {extra}" d="{path}"/>')

    def band(
        self, x: Sequence[float], low: Sequence[float], high: Sequence[float], series: str
    ) -> None:
        """A filled band between two curves."""
        keep = np.isfinite(np.asarray(low)) & np.isfinite(np.asarray(high))
        if keep.sum() < 2:
            return
        xs = np.asarray(x, float)[keep]
        top = [(self.px(a), self.py(b)) for a, b in zip(xs, np.asarray(high)[keep], strict=True)]
        foot = [(self.px(a), self.py(b)) for a, b in zip(xs, np.asarray(low)[keep], strict=True)]
        path = "M" + "L".join(f"{a} {b}" for a, b in top + foot[::-1]) + "Z"
        self._marks.append(f'<path class="band {series}" d="{path}"/>')

    def steps(self, edges: Sequence[float], heights: Sequence[float], series: str) -> None:
        """An unfilled histogram outline."""
        xs = np.repeat(np.asarray(edges, float), 2)[1:-1]
        self.line(xs.tolist(), np.repeat(np.asarray(heights, float), 2).tolist(), series)

    def bars(self, edges: Sequence[float], heights: Sequence[float], series: str) -> None:
        """Filled histogram bars from the bottom axis."""
        for a, b, height in zip(edges[:-1], edges[1:], heights, strict=True):
            left, right, top = self.px(a), self.px(b), self.py(height)
            size = max(round(right - left - 1, 2), 0.5)
            self._marks.append(
                f'<rect class="bar {series}" x="{left + 0.5}" y="{top}" width="{size}" '
                f'height="{max(round(self._bottom - top, 2), 0)}"/>'
            )

    def dots(
        self,
        x: Sequence[float],
        y: Sequence[float],
        series: str,
        radius: float | Sequence[float] = 2.2,
        extra: str = "",
    ) -> None:
        """Points; ``radius`` may differ by point."""
        sizes = np.broadcast_to(np.asarray(radius, float), (len(x),))
        for a, b, size in zip(x, y, sizes, strict=True):
            if math.isfinite(a) and math.isfinite(b):
                self._marks.append(
                    f'<circle class="dot {series} {extra}" cx="{self.px(a)}" cy="{self.py(b)}" '
                    f'r="{size:.2f}"/>'
                )

    def rule(self, x: float, series: str, text: str = "") -> None:
        """A vertical line at a data value with a small label on top."""
        at = self.px(x)
        self._marks.append(
            f'<path class="line {series} thin" d="M{at} {self._top}V{self._bottom}"/>'
        )
        if text:
            anchor = "end" if at > self.width * 0.8 else "middle"
            self._marks.append(
                f'<text class="tick {series}" x="{at}" y="{self._top - 4}" '
                f'text-anchor="{anchor}">{escape(text)}</text>'
            )

    def whisker(self, y: float, low: float, value: float, high: float, series: str) -> None:
        """A value with its interval on a horizontal row (forest plot)."""
        at = self.py(y)
        if math.isfinite(low) and math.isfinite(high):
            self._marks.append(
                f'<path class="line {series}" d="M{self.px(low)} {at}H{self.px(high)}"/>'
            )
        if math.isfinite(value):
            self._marks.append(
                f'<circle class="dot solid {series}" cx="{self.px(value)}" cy="{at}" r="4.2"/>'
            )

    def row_label(self, y: float, text: str) -> None:
        """A label left of the plot at a data height."""
        self._marks.append(
            f'<text class="row" x="{self._left - 8}" y="{self.py(y) + 4}" text-anchor="end">'
            f"{escape(text)}</text>"
        )

    def bar_row(self, y: float, value: float, thickness: float, series: str) -> None:
        """A horizontal bar from the left edge of the x range, centred at a data height."""
        top, right = self.py(y) - thickness / 2, self.px(value)
        self._marks.append(
            f'<rect class="bar {series}" x="{self._left}" y="{round(top, 2)}" '
            f'width="{max(round(right - self._left, 2), 0.5)}" height="{thickness}"/>'
        )

    def note(self, text: str) -> None:
        """A small note in the upper left of the plot."""
        self._marks.append(
            f'<text class="note" x="{self._left + 6}" y="{self._top + 12}">{escape(text)}</text>'
        )

    def svg(self) -> str:
        """The chart as an SVG element."""
        title, description = escape(self.title), escape(self.description)
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{title}. {description}" xmlns="http://www.w3.org/2000/svg">'
            f"<title>{title}</title><desc>{description}</desc>"
            f'<text class="head" x="4" y="14">{title}</text>' + "".join(self._marks) + "</svg>"
        )
