"""Methods and networks that tests bring, as users would: of LR alone, and of raw references."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from srntt_pipeline.methods import CannotRun, Method


class Nearest(Method):
    """LR enlarged by repeating pixels."""

    name = "Nearest"

    def super_resolve(self, scene, reference):
        return np.ascontiguousarray(scene.lr.repeat(4, 0).repeat(4, 1))


class Picky(Nearest):
    """It takes L1 alone, and no image called 002."""

    name = "Picky"

    def takes(self, reference):
        return reference == "L1"

    def super_resolve(self, scene, reference):
        if scene.name == "002":
            raise CannotRun("it does not like 002")
        return super().super_resolve(scene, reference)


class Wrong(Nearest):
    """Its SR is of another size."""

    name = "Wrong"

    def super_resolve(self, scene, reference):
        return scene.lr


class AsReference(Method):
    """The reference itself, which is of HR's size."""

    name = "Reference"

    def takes(self, reference):
        return reference[:1] == "L"

    def super_resolve(self, scene, reference):
        return scene.images(reference)[0]


class MeanColour(nn.Module):
    """A network on raw references: LR enlarged, moved towards the references' mean colour."""

    def __init__(self, share=0.5):
        super().__init__()
        self.share = nn.Parameter(torch.tensor(float(share)))

    def forward(self, lr, refs):
        colour = torch.stack([ref.mean((2, 3), keepdim=True) for ref in refs]).mean(0)
        large = F.interpolate(lr, scale_factor=4, mode="nearest")
        return large * (1 - self.share) + colour * self.share
