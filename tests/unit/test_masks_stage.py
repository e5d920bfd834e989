import json

import numpy as np
import pytest

from ops.masking import MaskSettings, decode_rle
from ops.stages.masks import get_ready, wear
from tests.posed import posed

SKIN = np.full((260, 320, 3), (190, 150, 125), np.uint8)


@pytest.mark.parametrize("swapped", [False, True])
def test_labels_tell_what_is_still_to_be_seen_of_a_mask_behind_another(swapped):
    far, near = posed((130, 90), 110), posed((190, 110), 140)
    faces = [near, far] if swapped else [far, near]
    faces = [type(face)(n, *[getattr(face, name) for name in face.__slots__[1:]]) for n, face in enumerate(faces)]
    ready, bare = get_ready(SKIN, faces, 10)
    picture, worn, left = wear(SKIN, ready, "a", 0, MaskSettings(kinds=("surgical", "kn95")))
    assert not bare
    assert not left
    assert [labels["face"] for labels, _ in worn] == [0, 1]
    regions = [decode_rle(json.loads(labels["region"])) for labels, _ in worn]
    assert not (regions[0] & regions[1]).any()
    front = regions[0 if swapped else 1]
    behind, alpha = regions[1 if swapped else 0], worn[1 if swapped else 0][1]
    assert front.sum() > 1.3 * behind.sum()
    assert (alpha[front] < 128).all()
    assert (alpha[behind] >= 127).all()
    for (labels, _), region in zip(worn, regions, strict=True):
        rows, columns = np.nonzero(region)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert tuple(labels[f"mask_{side}"] for side in ("x1", "y1", "x2", "y2")) == box
    assert (picture[front | behind] != SKIN[front | behind]).any(-1).mean() > 0.98


def test_a_face_whose_lower_half_is_outside_stays_bare():
    ready, bare = get_ready(SKIN, [posed((150, 255), 150)], 10)
    assert not ready
    assert bare[0]["reason"] == "nose, mouth and chin lie outside of the picture"
    assert bare[0]["label"] == "without_mask"
