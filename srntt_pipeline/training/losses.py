"""The losses of the paper (sections 3.2–3.3, Eq. 6–10).

Each returns a scalar, the mean over the batch, float32. Images are RGB in [-1, 1], the range of the
paper's tanh: an ℓ1 of 1 there is 0.5 in [0, 1]. Maps are those of torchvision's VGG19 on
standardised images (`Encoder`), for perceptual and texture loss alike.

Perceptual and texture loss have two forms: as the paper prints them, and as its released code has
them, `squared_…`. The released code takes its maps from Caffe's VGG19, which is fed with 0…255 and
not standardised, so its maps are `CAFFE_SCALE` times ours; squares, and squares of squares, make
that a factor of thousands and millions. docs/training.md has what each form does.

ENet's form compares maps that are scaled so that HR's have a mean of 1 (Sajjadi et al., ICCV 2017,
section 5.3): neither does it matter to that whose VGG19 made them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

# ImageNet's deviations, of which images are a multiple for torchvision's VGG19, in grey levels.
CAFFE_SCALE = 255 * (0.229 + 0.224 + 0.225) / 3


def reconstruction_loss(sr: Tensor, hr: Tensor, kind: str) -> Tensor:
    """Return the mean of |SR − HR| (`l1`, Eq. 7) or of its square (`mse`); images [N, 3, H, W]."""
    return F.l1_loss(sr, hr) if kind == "l1" else F.mse_loss(sr, hr)


def charbonnier_loss(sr: Tensor, hr: Tensor, epsilon: float) -> Tensor:
    """Return the mean of √((SR − HR)² + ε²) (LapSRN, Eq. 2); images [N, C, H, W] of any range."""
    return ((sr - hr).square() + epsilon**2).sqrt().mean()


def recursive_loss(sr: Tensor, depths: Sequence[Tensor], hr: Tensor, alpha: float) -> Tensor:
    """Return α times the mean of the squared errors of all depths, and 1 − α times that of SR.

    DRCN, Eq. 11, without its weight decay; images [N, C, H, W] of any range.
    """
    of_depths = torch.stack([F.mse_loss(image, hr) for image in depths]).mean()
    return alpha * of_depths + (1 - alpha) * F.mse_loss(sr, hr)


def perceptual_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """Return the mean over the batch of 1/V Σ_i ‖φ_i(HR) − φ_i(SR)‖_F (Eq. 8).

    `sr`, `hr`: maps of one layer, [N, C, h, w]; V = C·h·w. A channel without difference has no
    gradient.
    """
    norms = torch.linalg.vector_norm(hr - sr, dim=(2, 3))
    return norms.sum(1).mean() / sr[0].numel()


def squared_perceptual_loss(sr: Tensor, hr: Tensor, scale: float = CAFFE_SCALE) -> Tensor:
    """Return the mean of (s·φ(HR) − s·φ(SR))² over batch, channels and positions (released code).

    `sr`, `hr`: maps of one layer, [N, C, h, w]; `scale`: s, how many times larger Caffe's are.
    """
    return scale**2 * F.mse_loss(sr, hr)


def normalised_perceptual_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """Return the mean of (φ(HR) − φ(SR))² / m², m being the mean of φ(HR) in the batch (ENet).

    `sr`, `hr`: maps of one layer, [N, C, h, w], not negative.
    """
    return F.mse_loss(sr, hr) / _mean(hr).square()


def _mean(maps: Tensor) -> Tensor:
    """Return the mean of maps, or the least number above 0 where there is nothing in them."""
    return maps.mean().clamp_min(torch.finfo(maps.dtype).tiny ** 0.25)


def transferal_loss(sr: Mapping[str, Tensor], texture: Mapping[str, Tensor]) -> Tensor:
    """Return the mean over layers of the mean of (φ_l(SR) − T_l)² (TTSR, Eq. 9, second term).

    `sr`: maps of SR by the network's own extractor, `texture`: T, what it transferred, both [N, C,
    h·r, w·r] by layer. The paper prints one layer; its code has three, and lets the gradient go to
    T too, as here.
    """
    return torch.stack([F.mse_loss(sr[layer], found) for layer, found in texture.items()]).mean()


def texture_loss(sr: Mapping[str, Tensor], maps: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    """Return Σ_l λ_l ‖Gr(φ_l(SR)·S*_l) − Gr(M_l·S*_l)‖_F, the mean over the batch (Eq. 6).

    `sr`: φ_l(SR) by layer, `maps`: M_l, both [N, C, h·r, w·r]; `weight`: S*, [N, 1, h, w], each
    value of which stands for r×r positions of a layer. λ_l = 1 / (C·H·W), so that neither patch nor
    layer size changes the loss of the same texture.
    """
    total = weight.new_zeros(())
    for difference, size in _gram_differences(sr, maps, weight):
        norms = torch.linalg.vector_norm(difference, dim=(1, 2))
        total = total + norms.mean() / size
    return total


def squared_texture_loss(
    sr: Mapping[str, Tensor],
    maps: Mapping[str, Tensor],
    weight: Tensor,
    scale: float = CAFFE_SCALE,
) -> Tensor:
    """Return Σ_l of the mean of (Gr(s·φ_l(SR)·S*_l) − Gr(s·M_l·S*_l))² / 4 / (C·H·W)².

    The mean is over the batch and the C×C entries (released code). Arguments as of `texture_loss`;
    `scale`: s, as of `squared_perceptual_loss`.
    """
    total = weight.new_zeros(())
    for difference, size in _gram_differences(sr, maps, weight):
        # Divided before it is squared: float32 ends at 3e38.
        total = total + (scale**2 / size * difference).square().mean() / 4
    return total


def _gram_differences(
    sr: Mapping[str, Tensor], maps: Mapping[str, Tensor], weight: Tensor
) -> Iterator[tuple[Tensor, int]]:
    """Yield Gr(φ_l(SR)·S*_l) − Gr(M_l·S*_l), [N, C, C], and C·H·W of each layer."""
    for layer, swapped in maps.items():
        scaled = F.interpolate(weight, size=swapped.shape[2:], mode="nearest")
        difference = gram(sr[layer] * scaled) - gram(swapped * scaled)
        yield difference, swapped[0].numel()


def patch_texture_loss(
    sr: Mapping[str, Tensor], hr: Mapping[str, Tensor], weights: Mapping[str, float], patch: int
) -> Tensor:
    """Return Σ_l w_l of the mean of (G(φ_l(SR) / m) − G(φ_l(HR) / m))² (ENet).

    `sr`, `hr`: maps by layer, [N, C, h, w]; `weights`: w_l; m: the mean of φ_l(HR) in the batch.
    Patches are of `patch` positions a side, or of the whole map where that is smaller, side by
    side; what is left over at the end is not looked at. G: Gram matrices [C, C] of a patch, sums
    over its positions. The mean is over patches and entries: the paper does not say so, two public
    re-implementations do. With the paper's weights the gradients of the three layers are then 6, 24
    and 39 % of that of the loss on pool2 (bicubic SR of eight CUFED patches).
    """
    terms = []
    for layer, weight in weights.items():
        mean = _mean(hr[layer])
        of_sr, of_hr = (_patches(maps[layer] / mean, patch) for maps in (sr, hr))
        terms.append(weight * F.mse_loss(gram(of_sr), gram(of_hr)))
    return torch.stack(terms).sum()


def _patches(maps: Tensor, patch: int) -> Tensor:
    """Return the patches [M, C, patch, patch] that lie side by side in maps [N, C, h, w]."""
    side = min(patch, *maps.shape[2:])
    parts = maps.unfold(2, side, side).unfold(3, side, side)  # [N, C, rows, columns, side, side]
    return parts.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)


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


def standard_critic_loss(critic: Callable[[Tensor], Tensor], sr: Tensor, hr: Tensor) -> Tensor:
    """Return −E log σ(D(HR)) − E log(1 − σ(D(SR))), which the critic of a standard GAN minimises.

    D gives log-odds (Goodfellow et al., NIPS 2014, Eq. 1). Both go through the critic in one pass.
    """
    of_hr, of_sr = critic(torch.cat([hr, sr.detach()])).chunk(2)
    return F.softplus(-of_hr).mean() + F.softplus(of_sr).mean()


def standard_adversarial_loss(critic: Callable[[Tensor], Tensor], sr: Tensor) -> Tensor:
    """Return −E log σ(D(SR)), which the network minimises (Ledig et al., CVPR 2017, Eq. 6)."""
    return F.softplus(-critic(sr)).mean()
