"""From a checkpoint and a test set to numbers and pictures (paper section 5).

`protocols` says how PSNR and SSIM are measured, `restore` makes SR images, `evaluate` runs a test
set, `paper` holds the published numbers, `report` writes tables, grids and the HTML page.
"""
