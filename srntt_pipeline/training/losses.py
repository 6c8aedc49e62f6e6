"""The losses of the paper (sections 3.2–3.3, Eq. 6–10).

Each returns a scalar, the mean over the batch, float32. Images are RGB in [-1, 1], the range of the
paper's tanh: an ℓ1 of 1 there is 0.5 in [0, 1]. Maps are those of torchvision's VGG19 on
standardised images (`Encoder`), for perceptual and texture loss alike.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F


def reconstruction_loss(sr: Tensor, hr: Tensor, kind: str) -> Tensor:
    """Return the mean of |SR − HR| (`l1`, Eq. 7) or of its square (`mse`); images [N, 3, H, W]."""
    return F.l1_loss(sr, hr) if kind == "l1" else F.mse_loss(sr, hr)


def perceptual_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """Return the mean over the batch of 1/V Σ_i ‖φ_i(HR) − φ_i(SR)‖_F (Eq. 8).

    `sr`, `hr`: maps of one layer, [N, C, h, w]; V = C·h·w. A channel without difference has no
    gradient.
    """
    norms = torch.linalg.vector_norm(hr - sr, dim=(2, 3))
    return norms.sum(1).mean() / sr[0].numel()


def texture_loss(sr: Mapping[str, Tensor], maps: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    """Return Σ_l λ_l ‖Gr(φ_l(SR)·S*_l) − Gr(M_l·S*_l)‖_F, the mean over the batch (Eq. 6).

    `sr`: φ_l(SR) by layer, `maps`: M_l, both [N, C, h·r, w·r]; `weight`: S*, [N, 1, h, w], each
    value of which stands for r×r positions of a layer. λ_l = 1 / (C·H·W), so that neither patch nor
    layer size changes the loss of the same texture.
    """
    total = weight.new_zeros(())
    for layer, swapped in maps.items():
        scaled = F.interpolate(weight, size=swapped.shape[2:], mode="nearest")
        difference = gram(sr[layer] * scaled) - gram(swapped * scaled)
        norms = torch.linalg.vector_norm(difference, dim=(1, 2))
        total = total + norms.mean() / swapped[0].numel()
    return total


def gram(maps: Tensor) -> Tensor:
    """Return the Gram matrices [N, C, C] of maps [N, C, H, W]: sums over positions."""
    flat = maps.flatten(2)
    return flat @ flat.transpose(1, 2)


def critic_loss(
    critic: Callable[[Tensor], Tensor], sr: Tensor, hr: Tensor, mix: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what the critic minimises, E D(SR) − E D(HR), and its gradient penalty, unweighted.

    The penalty is E (‖∇D(x)‖₂ − 1)² at x = ε·HR + (1 − ε)·SR, with `mix` ε in [0, 1], [N]. All
    three go through the critic in one pass, which several devices need.
    """
    share = mix.view(-1, 1, 1, 1)
    between = (share * hr + (1 - share) * sr).detach().requires_grad_()
    of_hr, of_sr, of_between = critic(torch.cat([hr, sr.detach(), between])).chunk(3)
    (slope,) = torch.autograd.grad(of_between.sum(), between, create_graph=True)
    penalty = (torch.linalg.vector_norm(slope.flatten(1), dim=1) - 1).square().mean()
    return of_sr.mean() - of_hr.mean(), penalty


def adversarial_loss(critic: Callable[[Tensor], Tensor], sr: Tensor) -> Tensor:
    """Return −E D(SR), which the network minimises (Eq. 9)."""
    return -critic(sr).mean()
