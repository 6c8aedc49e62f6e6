"""The user study: which of two SR images has the higher resolution (paper section 5.2, Figure 6).

`make` takes pairs of pictures out of an evaluation; `design` is the file that describes them,
`turns` says who sees which pair when. `store` keeps votes, `app` and `serve` ask for them over
HTTP, `collect` reads those of the static page (`page`). `report` makes Figure 6 of them: shares in
`preferences`, scores in `bradley_terry`, how far participants agree in `agreement`.
"""
