"""Training (paper sections 3.3–3.4): `recipes` say what, `loop` trains and resumes."""

CACHE_GIB = 4.0  # memory for swapped maps; those of a pair of 160×160 px take 11.5 MB
