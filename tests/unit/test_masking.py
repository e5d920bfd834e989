import dataclasses

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from ops.images import read
from ops.masking import (
    KINDS,
    STATES,
    MaskingError,
    MaskSettings,
    MaskSpec,
    decode_rle,
    draw_spec,
    encode_rle,
    prepare,
    render,
    visible_fractions,
)
from ops.masking.spec import CLASSIC, parse_colour
from tests.posed import posed

SQUARE = np.ones((3, 3), np.uint8)


@pytest.fixture(scope="module")
def picture():
    return astronaut()


@pytest.fixture(scope="module")
def portraits(shared_data):
    """Real portraits with the meshes that the default models find in them."""
    from ops.faces import find_faces
    from resources.models import FaceModels

    models = FaceModels(device="cpu").load()
    paths = sorted((shared_data / "portraits").glob("*.jpg"))[3:339:24]
    pictures = [read(path) for path in paths]
    return [(pixels, find_faces(pixels, *models)[0]) for pixels in pictures]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_spec_draws_the_same_bytes_and_alpha_0_keeps_the_pictures(picture, kind):
    face = posed()
    spec = draw_spec("a/0/0", MaskSettings(kinds=(kind,)))
    first, again = render(picture, face, spec), render(picture.copy(), posed(), MaskSpec.from_row(spec.as_row()))
    assert first.picture.tobytes() == again.picture.tobytes()
    assert first.alpha.tobytes() == again.alpha.tobytes()
    alpha, region = first.full_alpha(), first.full_region()
    assert np.array_equal(first.picture[alpha == 0], picture[alpha == 0])
    assert (first.picture != picture).any(-1)[region].mean() > 0.98
    assert (alpha[region] >= 0.5).all()
    assert alpha.max() <= 1


def test_a_prepared_face_changes_nothing(picture):
    face = posed(yaw=20)
    prepared = prepare(picture, face)
    for n in range(3):
        spec = draw_spec(f"a/0/{n}")
        shared, alone = render(picture, face, spec, prepared=prepared), render(picture, face, spec)
        assert shared.picture.tobytes() == alone.picture.tobytes()


def test_draws_depend_on_key_and_seed_alone():
    settings = MaskSettings()
    specs = [draw_spec(f"{n}", settings) for n in range(200)]
    assert specs == [draw_spec(f"{n}", settings) for n in reversed(range(200))][::-1]
    assert draw_spec("1", MaskSettings(seed=1)) != specs[1]
    assert draw_spec("1", MaskSettings(states=tuple(reversed(STATES)))) == draw_spec("1", MaskSettings(states=STATES))
    assert {spec.kind for spec in specs} == set(KINDS)
    assert len(set(specs)) == 200
    assert all(-5 <= spec.rotation <= 5 and -0.02 <= spec.y_offset <= 0.03 for spec in specs)
    assert {draw_spec(f"{n}", MaskSettings(colours="classic")).colour for n in range(200)} == set(CLASSIC)
    weighted = [draw_spec(f"{n}", MaskSettings(kinds={"n95": 3, "cloth": 1})).kind for n in range(400)]
    assert 0.68 < weighted.count("n95") / 400 < 0.82


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": ("surgical", "scarf")}, "kinds: 'scarf'; allowed are surgical, n95, kn95, duckbill"),
        ({"kinds": ()}, "kinds: none given"),
        ({"patterns": ("tartan",)}, "patterns: 'tartan'; allowed are plain, checks"),
        ({"states": ("half",)}, "states: 'half'; allowed are correct, nose_out"),
        ({"colours": "pastel"}, "colours: 'pastel'; allowed are natural, classic"),
        ({"colours": ("blue",)}, "colour 'blue': expected #rrggbb"),
        ({"rotation": (5, -5)}, "rotation: 5.0 to -5.0"),
    ],
)
def test_wrong_settings_name_what_is_allowed(settings, message):
    with pytest.raises(ValueError, match=message):
        MaskSettings(**settings)


def test_a_wrong_spec_names_what_is_allowed():
    with pytest.raises(ValueError, match="kind: 'veil'; allowed are surgical"):
        MaskSpec(kind="veil", colour="#ffffff", accent="#ffffff")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("yaw", [-70, -35, 0, 35, 70])
def test_a_mask_worn_correctly_hides_nose_mouth_and_chin(picture, kind, yaw):
    face = posed((225, 200), 180, yaw=yaw)
    masked = render(picture, face, draw_spec("a", MaskSettings(kinds=(kind,))))
    assert max(visible_fractions(face, masked.full_region())) < 0.03
    x, y, width, height = cv2.boundingRect(masked.full_region().astype(np.uint8))
    assert masked.box == (x, y, x + width, y + height)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("state", "out"),
    [
        ("nose_out", (True, False, False)),
        ("chin_out", (False, False, True)),
        ("nose_and_mouth_out", (True, True, None)),
        ("under_chin", (True, True, True)),
        ("hanging", (True, True, True)),
    ],
)
def test_what_a_wear_state_says_is_out_is_out(picture, kind, state, out):
    face = posed((225, 200), 180)
    settings = MaskSettings(kinds=(kind,), states=(state,))
    visible = visible_fractions(face, render(picture, face, draw_spec("a", settings)).full_region())
    for share, wanted in zip(visible, out, strict=True):
        assert wanted is None or (share > 0.6 if wanted else share < 0.2), visible


@pytest.mark.parametrize("kind", KINDS)
def test_turned_heads_get_a_mirrored_mask(kind):
    picture = np.full((300, 300, 3), (190, 150, 125), np.uint8)
    spec = dataclasses.replace(draw_spec("a", MaskSettings(kinds=(kind,))), rotation=0.0)
    left, right = (render(picture, posed((149.5, 120), 150, yaw=yaw), spec).full_region() for yaw in (-40, 40))
    joint = (left & right[:, ::-1]).sum() / (left | right[:, ::-1]).sum()
    assert joint > 0.97
    assert (left & right).sum() / (left | right).sum() < 0.8


def test_a_grey_photograph_gets_a_grey_mask(picture):
    grey = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    for n, colour in enumerate(("#c92c48", "#177ABC", "#49ff00")):
        settings = MaskSettings(kinds=("cloth",), colours=(colour, "#ffc900"), patterns=("floral", "checks"))
        masked = render(grey, posed(), draw_spec(str(n), settings)).picture
        assert (masked == masked[..., :1]).all()
        assert (masked != grey).any()


def test_faces_over_the_border_small_faces_and_faces_outside(picture):
    height, width = picture.shape[:2]
    for x, y in ((5, 100), (width - 5, 100), (200, 5), (200, height - 60)):
        masked = render(picture, posed((x, y), 150), draw_spec("a"))
        assert masked.full_region().any()
        assert masked.box == masked.box.clipped(width, height)
    with pytest.raises(MaskingError, match="at least 12 are needed"):
        render(picture, posed(width=9), draw_spec("a"))
    with pytest.raises(MaskingError, match="nose, mouth and chin lie outside"):
        render(picture, posed((200, height + 10), 150), draw_spec("a"))
    broken = posed()
    broken.mesh[33] = np.nan
    with pytest.raises(MaskingError, match="not finite"):
        render(picture, broken, draw_spec("a"))
    with pytest.raises(MaskingError, match="outside of the picture"):
        render(picture, posed((-400, 100)), draw_spec("a"))


def test_what_is_outside_of_the_picture_is_not_visible(picture):
    face = posed((250, picture.shape[0] - 30), 150)
    free = np.zeros(picture.shape[:2], bool)
    assert visible_fractions(face, free)[2] == 0
    assert visible_fractions(posed(), free) == (1, 1, 1)
    assert visible_fractions(posed(), ~free) == (0, 0, 0)


def test_a_second_face_keeps_the_first_ones_mask(picture):
    first = render(picture, posed((110, 128)), draw_spec("a"))
    both = render(first.picture, posed((360, 128)), draw_spec("b"))
    alpha = both.full_alpha()
    assert np.array_equal(both.picture[alpha == 0], first.picture[alpha == 0])
    assert not (alpha > 0)[first.full_region()].any()


@pytest.mark.parametrize("region", [np.zeros((4, 5), bool), np.ones((4, 5), bool), np.eye(7, 3) > 0])
def test_run_lengths_read_back_equal(region):
    assert np.array_equal(decode_rle(encode_rle(region)), region)


def test_run_lengths_are_cocos(picture):
    assert encode_rle(np.array([[1, 0, 0], [1, 1, 0]], bool)) == {"size": [2, 3], "counts": [0, 2, 1, 1, 2]}
    masked = render(picture, posed(), draw_spec("a"))
    assert np.array_equal(decode_rle(encode_rle(masked.full_region())), masked.full_region())


def rim_score(before, masked):
    """Share of the 2 px ring around the cloth that is brighter than face and mask close by."""
    cloth = cv2.morphologyEx(masked.full_region().astype(np.uint8), cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
    ring = (cv2.dilate(cloth, SQUARE) - cv2.erode(cloth, SQUARE)).astype(bool)
    grey, bare = (cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) for pixels in (masked.picture, before))
    inside = cv2.dilate(np.where(cv2.erode(cloth, SQUARE, iterations=2), grey, 0).astype(np.uint8), np.ones((9, 9)))
    return float((grey > np.maximum(inside, cv2.dilate(bare, SQUARE)).astype(int) + 2)[ring].mean())


@pytest.mark.parametrize("kind", KINDS)
def test_real_portraits_are_covered_without_a_bright_rim(portraits, kind):
    rims = []
    for n, (pixels, face) in enumerate(portraits):
        # plain and dark-strapped: a printed edge and a white strap are brighter than their surroundings by right
        settings = MaskSettings(kinds=(kind,), patterns=("plain",), valves={})
        drawn = draw_spec(f"{n}", settings)
        spec = dataclasses.replace(drawn, strap_colour="#000000", trim=drawn.colour)
        masked = render(pixels, face, spec)
        assert max(visible_fractions(face, masked.full_region())) < 0.03
        rims.append(rim_score(pixels, masked))
    assert np.median(rims) < 0.005
    assert max(rims) < 0.05


def test_a_spec_is_read_back_from_a_column_with_gaps():
    spec = draw_spec("a/0/0", MaskSettings(kinds=("n95",)))
    row = {**spec.as_row(), "valves": float(spec.valves), "texture_seed": float(spec.texture_seed)}
    assert MaskSpec.from_row(row) == spec


def test_prints_differ_from_their_cloth():
    printed = [spec for spec in (draw_spec(f"{n}") for n in range(3000)) if spec.pattern != "plain"]
    apart = [
        max(abs(a - b) for a, b in zip(parse_colour(s.colour), parse_colour(s.accent), strict=True)) for s in printed
    ]
    assert len(printed) > 300
    assert min(apart) > 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": {"surgical": "3"}}, "kinds: '3'; expected a number"),
        ({"kinds": {"surgical": 0}}, "kinds: all weights are 0"),
        ({"states": {"correct": -1}}, "states: -1; expected a number from 0"),
        ({"colours": {}}, "colours: none given"),
        ({"fit": ("a", "b")}, "fit: 'a'; expected a number"),
        ({"fit": (1.0,)}, "fit: 1.0 is no range"),
        ({"fit": (-1, -1)}, "fit: -1; expected a number from 0.5 to 2"),
        ({"rotation": (-90, 0)}, "rotation: -90; expected a number from -45 to 45"),
        ({"patterned": {"cloth": 7}}, "patterned: 7; expected a number from 0 to 1"),
    ],
)
def test_wrong_numbers_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MaskSettings(**settings)


def test_the_same_weights_are_the_same_key_wherever_they_come_from():
    keys = [MaskSettings(states=states).as_key() for states in (["correct"], {"correct": 1}, {"correct": 1.0})]
    assert keys[0] == keys[1] == keys[2]
