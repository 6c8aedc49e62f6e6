"""Vanishing points of a drawing whose points are known, and the planes that they make."""

import itertools

import cv2
import numpy as np
import pytest

from srntt_pipeline.selfex.planes import find_planes
from srntt_pipeline.selfex.vanishing import line_segments, vanishing_points

HEIGHT, WIDTH = 180, 240


def turned(yaw, pitch):
    cos_y, sin_y, cos_p, sin_p = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    around_y = np.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]])
    around_x = np.array([[1, 0, 0], [0, cos_p, -sin_p], [0, sin_p, cos_p]])
    return around_x @ around_y


@pytest.fixture(scope="module")
def box():
    """A box with a grid on its three faces, seen in perspective, and its vanishing points."""
    camera = np.array([[260.0, 0, 120], [0, 260, 90], [0, 0, 1]])
    turn = turned(0.7, 0.5)
    image = np.full((4 * HEIGHT, 4 * WIDTH), 255, np.uint8)
    steps = np.linspace(-1, 1, 7)

    def seen(point):
        x, y, z = camera @ (turn @ np.array(point) + [0, 0, 4.6])
        return round(4 * x / z), round(4 * y / z)

    for axis, other in itertools.permutations(range(3), 2):
        for step in steps:
            ends = []
            for end in (-1, 1):
                point = [0.0, 0.0, 0.0]
                point[axis], point[other] = end, step
                third = 3 - axis - other
                nearest = min((-1, 1), key=lambda side: (turn[:, third] * side)[2])
                point[third] = nearest
                ends.append(seen(point))
            cv2.line(image, *ends, 0, 6, cv2.LINE_AA)
    small = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    points = [camera @ turn[:, axis] for axis in range(3)]
    return np.dstack([small] * 3), [point[:2] / point[2] for point in points]


def test_the_points_of_a_box_are_found(box):
    lr, expected = box
    found = vanishing_points(line_segments(lr), HEIGHT, WIDTH, seed=0)
    assert len(found) == 3
    for place in expected:
        # By their direction from the image's centre, and by how far they are.
        centre = np.array([WIDTH / 2, HEIGHT / 2])
        away = [one.point[:2] / one.point[2] - centre for one in found]
        errors = [np.linalg.norm(one - (place - centre)) / np.linalg.norm(place) for one in away]
        assert min(errors) < 0.1


def test_segments_that_meet_nowhere_have_no_point():
    random = np.random.default_rng(0)
    start, angle = random.uniform(0, 150, (60, 2)), random.uniform(0, np.pi, 60)
    end = start + 20 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert vanishing_points(np.hstack([start, end]), HEIGHT, WIDTH, seed=0) == []


@pytest.mark.parametrize("lr", [np.full((20, 30, 3), 9, np.uint8), np.zeros((1, 1, 3), np.uint8)])
def test_an_image_without_lines_has_the_plane_that_faces_the_camera(lr):
    planes = find_planes(lr, seed=0)
    assert planes.lines.tolist() == [[0, 0, 1]]
    assert (planes.shares == 1).all()
    assert not np.abs(planes.costs).any()


def test_a_plane_is_likely_where_its_lines_are(box):
    lr, _ = box
    planes = find_planes(lr, seed=0)
    assert len(planes.lines) == 4
    assert np.allclose(planes.shares.sum(axis=0), 1, atol=1e-6)
    assert planes.likeliest(10, 12)[0, 0] == 0  # the corner is empty
    assert planes.shares[0, HEIGHT // 2, WIDTH // 2] < 0.2
    middle = planes.shares[1:, HEIGHT // 2 - 40 : HEIGHT // 2 + 40].mean(axis=(1, 2))
    assert (middle > 0.02).all()


def test_lines_are_of_the_pixels_of_a_level(box):
    planes = find_planes(box[0], seed=0)
    lines = planes.lines_at(4 * HEIGHT, 4 * WIDTH)
    x, y = 13.0, 29.0
    there = np.array([4 * (x + 0.5) - 0.5, 4 * (y + 0.5) - 0.5, 1])
    assert np.allclose(lines @ there, planes.lines @ [x, y, 1])
