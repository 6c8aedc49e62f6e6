from dataclasses import dataclass

import numpy as np

from srntt_pipeline.albums.advice import advise
from srntt_pipeline.albums.manifest_rows import TrainRow
from srntt_pipeline.albums.pairs import Pairs
from srntt_pipeline.albums.survey import CountedAlbum, Survey, count_histogram
from srntt_pipeline.config import BuildParams

PARAMS = BuildParams(levels=2, bands=(100, 10), train_pairs=40, test_groups=1)


@dataclass(frozen=True)
class Counted(CountedAlbum):
    """An album of five photos, each ordered pair of which has so many `matches`."""

    matches: int = 0

    def pairs(self, params):
        counts = np.full((5, 5), self.matches, np.int32)
        return Pairs.graded(tuple("abcde"), counts, params)


def row(level):
    values = dict.fromkeys(TrainRow.__dataclass_fields__)
    return TrainRow(**values | {"level": level})


def warnings(*albums, training, levels):
    """Of so many crops a level, test groups, and `training` albums among those given."""
    pairs = [album.pairs(PARAMS).histogram(2).sum(axis=1) for album in albums]
    survey = Survey(
        albums, np.full(len(albums), 5), np.array(pairs), np.ones(len(albums), np.int64),
        count_histogram(albums, PARAMS), (),
    )  # fmt: skip
    train = [row(level) for level, number in levels.items() for _ in range(number)]
    return advise(
        params=PARAMS, survey=survey, training=training, train=train, groups=1, near_duplicates=[]
    )


def test_a_level_with_few_pairs_is_judged_by_the_albums_that_are_trained_on():
    """The test album is full of L1, and no pair of it can fill that level."""
    of_test, low, middle = (
        Counted(name, (), (), matches=n) for name, n in (("test", 300), ("low", 20), ("mid", 60))
    )
    (told,) = warnings(of_test, low, middle, training=[low, middle], levels={"L2": 40})
    assert told.endswith("an even share is 20; a band from 60 on, not 100, would fill it")
    (told,) = warnings(of_test, low, training=[low], levels={"L2": 40})
    assert told.endswith("a band from 20 on, not 100, would fill it")
    (told,) = warnings(of_test, low, training=[of_test, low], levels={"L1": 2, "L2": 38})
    assert "its 20 photo pairs in albums to train on gave no more crops" in told
