"""SelfEx: single-image SR from transformed self-exemplars (Huang, Singh, Ahuja, CVPR 2015).

LR is enlarged level by level. At each level every patch is matched with a patch of the same image
on coarser levels, under an affine or a perspective transform, and takes over the detail that the
match has. There are no weights and no training.

`enlarging` is the whole of it; `vanishing` and `planes` find the planes of the scene, `pyramid` has
the levels, `field` the matches, `sampling` what one match means; `voting` makes
an image of them, which `back_projection`, outside of this package, holds against LR.
"""
