"""``python -m simdnn``: the command line."""

from simdnn.cli import main

main()
