"""The race: our server against what others would build, one core each. `make race`, or `python -m bench.race --help`."""
