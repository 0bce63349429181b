"""What Lightning and Hydra users type: each argument and class of the libraries, and what is expected of it.

make matrix-test tries all of it, by real runs on the digits: python -m matrix [PART OF A NAME …] [--write]
"""
