"""Feature swapping (paper section 3.1).

LR↑ and augmented references (`references`) → relu maps of VGG19 (`encoder`) → correspondence
(`correspondence`, of whole images `image_matching`, or by optical flow `flow`) → swapped maps
(`swap`). `matcher` does it as the parameters say. `precompute` stores correspondences of a whole
data set in HDF5 shards (`shards`), and `dataset` gives them to training as swapped maps.
"""
