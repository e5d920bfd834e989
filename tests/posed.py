"""Faces of known place, size and pose, made from the canonical mesh."""

import numpy as np

from ops.geometry import canonical_mesh
from ops.records import Box, Face, Pose

CENTRE = (225.0, 128.0)
"""Of the face in scikit-image's picture of an astronaut."""


def posed(center=CENTRE, width=92.0, yaw=0.0, pitch=0.0):
    """The canonical face as wide as wanted, in pixels, its nose near ``center``."""
    model = canonical_mesh().vertices * [1, -1, -1]
    model = (model - (model[234] + model[454]) / 2) / np.linalg.norm(model[454] - model[234])
    a, b = np.radians([yaw, pitch])
    turn = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    nod = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    mesh = (model @ (nod @ turn).T * width + [*center, 0]).astype(np.float32)
    points = mesh[[33, 263, 1, 61, 291], :2]
    return Face(0, Box(*mesh[:, :2].min(0), *mesh[:, :2].max(0)), 1.0, points, mesh, Pose(yaw, pitch, 0), 100.0)


def turned(points, center, yaw):
    """Turn points that belong to `posed` without yaw as its head with that yaw is turned."""
    a = np.radians(yaw)
    turn = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    return (points - [*center, 0]) @ turn.T + [*center, 0]
