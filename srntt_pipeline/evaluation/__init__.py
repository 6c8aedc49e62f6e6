"""From methods and a test set to numbers and pictures (paper section 5).

To add a protocol, open `protocols.py`, which says how PSNR and SSIM are measured; to add a metric,
`srntt_pipeline/metrics.py` (`perceptual` makes metrics ready): docs/adding.md.

`evaluate` runs a test set: `pictures` lets methods make SR, `measure` measures it, `statistics` has
intervals and paired tests, `tables` writes them, `report` draws grids and the HTML page. `paper`
holds the paper's numbers, `paper_tables` puts ours (`results`) beside them, and `figure5` our
pictures; what any table shows is in `columns`.
"""
