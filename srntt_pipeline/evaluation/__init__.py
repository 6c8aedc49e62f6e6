"""From checkpoints and a test set to numbers and pictures (paper section 5).

`protocols` says how PSNR and SSIM are measured (`imresize`: MATLAB's bicubic), `perceptual` has
LPIPS and DISTS. `evaluate` runs a test set: `methods` names checkpoints, `pictures` makes SR with
`restore`, `measure` measures it, `statistics` has intervals and paired tests, `tables` writes them,
`report` draws grids and the HTML page. `paper` holds the published numbers, `paper_tables` puts
ours (`results`) beside them.
"""
