"""From photo albums to a CUFED5-style data set (paper section 4).

Albums and photos (`photos`) → SIFT features (`sift`) → best-match counts (`counts`) → similarity
levels (`levels`) → which photos pair up, in training or test (`selection`) → pairs of crops that
show the same thing (`crops`) → the manifest, its tables (`manifest_rows`) in their folder
(`manifest`) → images cut from it (`pixels`) → what a person looks at (`summary`, `count_plot`,
`contact_sheet`). `build` runs them all; `demo` makes albums from photographs that come with
libraries.
"""
