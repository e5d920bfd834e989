import numpy as np
import pytest

from ops.raster import rasterise


def brute_force(vertices, triangles, attributes, shape):
    image, depth = np.zeros((*shape, attributes.shape[1])), np.full(shape, np.inf)
    for corners in triangles:
        a, b, c = vertices[corners].astype(np.float64)
        system = np.array([[a[0], b[0], c[0]], [a[1], b[1], c[1]], [1, 1, 1]])
        for y in range(shape[0]):
            for x in range(shape[1]):
                weights = np.linalg.solve(system, [x, y, 1])
                z = weights @ vertices[corners, 2]
                if (weights >= -1e-9).all() and z < depth[y, x]:
                    depth[y, x] = z
                    image[y, x] = weights @ attributes[corners]
    return image, depth


def test_it_draws_what_solving_each_pixel_gives():
    rng = np.random.default_rng(3)
    vertices = rng.uniform(-4, 20, (24, 3)).astype(np.float32)
    triangles = np.arange(24, dtype=np.int32).reshape(-1, 3)
    attributes = rng.uniform(0, 1, (24, 2)).astype(np.float32)
    drawn = rasterise(vertices, triangles, attributes, (14, 17))
    image, depth = brute_force(vertices, triangles, attributes, (14, 17))
    assert np.array_equal(drawn.covered, np.isfinite(depth))
    assert 40 < drawn.covered.sum() < 14 * 17
    np.testing.assert_allclose(drawn.depth, depth, atol=1e-4)
    np.testing.assert_allclose(drawn.image, image, atol=1e-5)


@pytest.mark.parametrize("winding", [(0, 1, 2), (2, 1, 0)])
def test_pixel_centres_are_at_whole_numbers(winding):
    corners = np.array([[1, 1, 0], [4, 1, 0], [1, 4, 0]], np.float32)
    drawn = rasterise(corners, np.array([winding], np.int32), np.ones((3, 1), np.float32), (6, 6))
    assert drawn.covered.sum() == 4 + 3 + 2 + 1
    assert drawn.covered[1, 4]
    assert drawn.covered[4, 1]


def test_what_is_nearer_already_hides_and_stays_as_it_was():
    corners = np.array([[-9, -9, 5], [30, -9, 5], [-9, 30, 5]], np.float32)
    before = np.full((4, 6), 7, np.float32)
    before[:, :3] = 2
    drawn = rasterise(corners, np.array([[0, 1, 2]], np.int32), np.ones((3, 1), np.float32), (4, 6), before)
    assert drawn.covered[:, 3:].all()
    assert not drawn.covered[:, :3].any()
    assert (before[:, 3:] == 7).all()


def test_flat_and_unfinished_triangles_draw_nothing():
    corners = np.array([[0, 0, 1], [5, 5, 1], [9, 9, 1], [np.nan, 0, 1]], np.float32)
    drawn = rasterise(corners, np.array([[0, 1, 2], [0, 1, 3]], np.int32), np.ones((4, 1), np.float32), (9, 9))
    assert not drawn.covered.any()
