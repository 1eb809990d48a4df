"""What the program is worth, in figures: `python -m benchmarks.NAME --json [--quick]`."""
