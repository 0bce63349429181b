"""Hostile runs and sweeps, each met by a real process in a scratch home: `make attack-test`."""
