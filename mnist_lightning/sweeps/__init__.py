"""Many runs: their directory, their processes, the search, and the table of their results."""
