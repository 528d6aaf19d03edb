"""The values that the paper reports in its tables I to III: detection rates of eq. (14), in per cent."""

from __future__ import annotations

from collections.abc import Mapping

COLUMNS = (
    "clean",
    "fgsm-0.01",
    "fgsm-0.02",
    "fgsm-0.04",
    "pgd-0.01",
    "pgd-0.02",
    "pgd-0.04",
    "ddn-20",
    "ddn-40",
    "ddn-60",
)
"""Columns of all three tables, by the labels of this benchmark."""

OURS = (89.9, 71.2, 73.3, 74.1, 66.1, 69.2, 70.8, 73.2, 77.6, 81.1)
"""The paper's row for Sim-DNN, the same in all three tables."""

TABLES: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "I": {
        "VGG": (68.7, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        "ResNet": (81.2, 3.1, 6.2, 3.1, 0, 0, 0, 0, 0, 0),
        "DenseNet": (87.5, 15.6, 9.4, 6.2, 0, 0, 0, 0, 0, 0),
        "Inception": (85.9, 14.4, 13.4, 9.4, 0, 0, 0, 66.6, 66.6, 66.6),
        "MobileNet": (85.9, 12.8, 9.1, 7.2, 0, 0, 0, 73.4, 73.4, 73.4),
        "ShuffleNet": (87.5, 8.1, 6.0, 4.1, 0, 0, 0, 70.3, 70.3, 70.3),
        "MnasNet": (90.6, 11.2, 3.4, 4.1, 0, 0, 0, 78.1, 78.1, 78.1),
    },
    "II": {
        "VGG": (44.4, 1.3, 0.6, 0, 1.1, 0.7, 0.0, 4.0, 5.0, 4.0),
        "ResNet": (62.7, 4.5, 8.7, 4.9, 5.9, 4.1, 2.0, 8.0, 8.0, 11.0),
        "DenseNet": (76.3, 4.3, 15.2, 9.8, 13, 9.3, 8.0, 22.0, 17.0, 16.0),
        "Inception": (58.1, 4.7, 2.9, 3.5, 5.1, 2.9, 3.7, 8.8, 8.9, 8.4),
        "MobileNet": (34.1, 4.1, 2.9, 1.2, 4.4, 1.9, 1.7, 5.3, 6.9, 7.0),
        "ShuffleNet": (37.2, 1.4, 1.0, 0.5, 1.7, 1.3, 1.2, 7.2, 5.4, 5.9),
        "MnasNet": (39.1, 4.1, 3.2, 1.7, 2.9, 2.9, 1.7, 7.3, 7.1, 6.8),
    },
    "III": {
        "VGG": (41.4, 9.3, 6.7, 0.1, 12.0, 9.0, 6, 31.8, 31.8, 31.8),
        "ResNet": (61.0, 31, 28.1, 28.1, 28.0, 14.0, 6, 47.3, 47.3, 47.3),
        "DenseNet": (84.0, 47, 28.4, 25.7, 37.0, 16.0, 6, 72.6, 72.6, 72.6),
        "Inception": (60.9, 19.4, 13.1, 3.1, 9.6, 0, 0, 39.04, 39.04, 39.04),
        "MobileNet": (40.6, 22.5, 1.1, 0, 15.6, 0, 0, 34.4, 34.4, 34.4),
        "ShuffleNet": (32.8, 29.2, 4.7, 1.6, 12.5, 1.6, 1.6, 23.4, 23.4, 23.4),
        "MnasNet": (40.6, 28.8, 9.4, 1.6, 20.3, 7.8, 3.1, 34.4, 34.4, 34.4),
    },
}
"""Rows by the paper's names of the networks."""


def paper_cell(table: str, row: str, column: str) -> float | None:
    """Return a value in per cent from a table of the paper, or None; the row "Ours" is Sim-DNN's."""
    cells = OURS if row == "Ours" else TABLES.get(table, {}).get(row)
    return cells[COLUMNS.index(column)] if cells and table in TABLES and column in COLUMNS else None
