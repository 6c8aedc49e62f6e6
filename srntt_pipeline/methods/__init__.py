"""From LR and references to SR: the one door from evaluation to networks."""
