"""Exact search for the best patch of one map in others (paper section 3.1), on tensors alone.

`correspondence` is the door: maps in, the best match of each patch out; `search` does it on the
CPU, `torch_search` and `triton_search` elsewhere. `patches` numbers what is matched, `windows` cuts
what is large. Features are whose ever: VGG19's in `swaps`, learnt ones in a network of `models`.
"""
