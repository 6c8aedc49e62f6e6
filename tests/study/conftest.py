"""A tiny evaluation of three images by three methods, and studies of it."""

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.config import EvaluateParams, StudyParams
from srntt_pipeline.evaluation.evaluate import evaluate
from srntt_pipeline.study.make import make_study


@pytest.fixture(scope="session")
def results(tmp_path_factory, photograph):
    """`evaluate`'s folder: SRNTT at L1 and L2, and SCN, which takes no references, of 3 images."""
    root = tmp_path_factory.mktemp("study results")
    groups = root / "set" / "test" / "CUFED5"
    groups.mkdir(parents=True)
    for number in range(3):
        for k in range(3):
            view = photograph[60 * number + 8 * k :, 150:206][:48]
            Image.fromarray(view).save(groups / f"{number:03}_{k}.png")
        hr = photograph[60 * number :, 150:206][:48].astype(np.int64)
        for name, noise in (("SRNTT/L1", 4), ("SRNTT/L2", 8), ("SCN/none", 24)):
            (root / name).mkdir(parents=True, exist_ok=True)
            drawn = np.random.default_rng(number).normal(0, noise, hr.shape)
            sr = np.clip(hr + drawn, 0, 255).astype(np.uint8)
            Image.fromarray(sr).save(root / name / f"{number:03}.png")
    methods = [f"{name}={root / name}" for name in ("SRNTT", "SCN")]
    params = EvaluateParams(protocol=("luma",))
    evaluate(root / "set", root / "out", params, methods=methods, workers=1, device="cpu")
    return root / "out"


@pytest.fixture(scope="session")
def make(results):
    """Make a study of `results`, of few turns unless told otherwise."""

    def run(study, **params):
        chosen = StudyParams(**{"pairs": 6, "repeats": 2, "checks": 2, "plans": 6, **params})
        return make_study(results, study, chosen, method="SRNTT", against=["SCN", "Bicubic"])

    return run
