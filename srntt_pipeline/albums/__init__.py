"""From photo albums to a CUFED5-style data set (paper section 4).

Albums and photos (`photos`) → SIFT features (`sift`) → best-match counts (`counts`) → similarity
levels (`levels`) → which photos pair up, in training or test (`selection`) → corresponding crops
(`crops`) → the manifest (`manifest`) → images cut from it (`pixels`) → what a person looks at
(`summary`). `build` runs them all; `demo` makes albums from photographs that come with libraries.
"""
