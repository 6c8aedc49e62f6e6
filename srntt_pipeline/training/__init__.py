"""Training SRNTT (paper sections 3.3–3.4): `data` draws batches, `loop` trains and resumes."""
