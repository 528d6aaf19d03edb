"""Ask the service at random by its own description: `python experiments/scripts/service_fuzz.py`.

Runs tests/service/test_openapi.py with many cases (schemathesis), half of them valid and half not, as auditor, as
checker and as nobody. A 5xx answer, or one that the description does not have, fails.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest

from record import timed, write_record

TEST = Path(__file__).parents[2] / "tests" / "service" / "test_openapi.py"


class Cases:
    """Hears how many requests the test sent."""

    number = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the number that a test tells."""
        if report.when == "call":
            self.number += sum(int(str(value)) for name, value in report.user_properties if name == "cases")


def main() -> None:
    """Fuzz, and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--dry", action="store_true", help="write no record")
    options = parser.parse_args()
    os.environ["SIMDNN_FUZZ"] = str(options.cases)
    statuses: list[int] = []
    heard = Cases()
    arguments = [str(TEST), "-q", "-p", "no:cacheprovider"]
    seconds = timed(lambda: statuses.append(int(pytest.main(arguments, plugins=[heard]))))
    passed = statuses == [0]
    if passed and not options.dry:
        write_record("service_fuzz", {"cases": heard.number, "failures": 0, "seconds": seconds})
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
