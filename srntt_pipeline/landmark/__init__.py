"""Landmark image super-resolution by retrieved images (Yue et al., TIP 2013).

References are registered (`registration`), matched in blocks around the registered place
(`matching`), blended by minimising an energy (`blending`). Of the paper the abstract alone was at
hand, and no code is public: what it leaves open is our choice and said where it is made.
"""
