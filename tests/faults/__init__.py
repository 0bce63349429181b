"""Real processes that are stopped, starved and lied to: is what comes of it equal to an undisturbed run?

`make fault-test` does all of it, and writes its table into docs/reliability.md; a short form of each part is in
tests/test_faults.py.
"""
