"""Reference-based super-resolution from photo albums to PSNR/SSIM tables.

The package reads like the pipeline, and each arrow is one sub-package, one command and one file
format: photos → manifest → pixels (`albums`) → correspondences → maps (`swaps`) → network
(`models`, `training`) → numbers (`evaluation`).
"""

__version__ = "0.1.0"
