"""What stands in front of faces: a sheet of real pictures to look at, bare, masked without telling it, and with.

    python -m benchmarks.occluders DATA OUT [PART ...]

DATA holds the folders named below; a sheet ``PART_WHAT.png`` a group goes to OUT, with the share of the mask that is
held back under each face. PART is ``development`` (looked at while thresholds were set) or ``final`` (looked at
afterwards). A group ``none`` has faces before which nothing stands, among them beards, dark skin, side light and open
mouths.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from ops import images
from ops.faces import find_faces
from ops.masking import MaskingError, draw_spec, prepare, render
from ops.masking.occlusion import in_front
from ops.records import Box, Picture
from resources.models import FaceModels

CASES = {
    "development": {
        "hair": {
            "unmasked": "1b0c1ca2 130e1bfd 209cd0e3 37b335f7 421b567b 4dedadcf 8395d348 cc600d64 884789bf 82c3e417"
            " 8299b85d ff8d321f 6a79d39d daf835c7 66ea59ba dd1601d4 45baae32 ed084b2a",
            "people_grey": "Alexa_Loren_0001 Georgina_Papin_0001 Gloria_Trevi_0002 Claudine_Farrell_0001"
            " Barbara_Esbin_0001 Nathalie_Baye_0001 Fatma_Kusibeh_0001",
        },
        "glasses": {
            "unmasked": "40a69b94 882b801c 9ae3f625 abe387b0 abe3beca c17e6a37 ee735628 19e39e15 92a4e936 5989cde5",
            "people_grey": "Milton_Berle_0001 Paul_Greengrass_0001",
        },
        "none": {
            "unmasked": "1075261d 1a638208 3990ede5 41cdeedf 41b0e87e 24ae67da 455e24a4 5b84e78b cc1111d6 a4764818"
            " 0dd1d0fa 92076fc3 c87d1667 1c47b2cf 2683894e 42e4e4ff f26ff677 75775a52 246891d4 cc796087 97cf43c8"
            " 3e841889 2c7cdfa8 5d979390 7686d7fd d462f84d f47ed70f e74e1e61",
            "people_grey": "Adolfo_Rodriguez_Saa_0002 Alek_Wek_0001 James_Gandolfini_0002 Irfan_Ahmed_0001"
            " Gerry_Adams_0001 Pat_Summitt_0001 Felix_Doh_0001 Oscar_Bolanos_0001 Howard_Ross_0001 Ian_Wilmut_0001"
            " Patrick_Roy_0001 Ivan_Helguera_0001 Mike_Tyson_0003",
        },
    },
    "final": {
        "hair": {
            "portraits_second": "B000825 B001300 B001224 J000298 L000273 O000172 S001135 W000788 S001215",
            "people_grey": "Khatol_Mohammad_Zai_0001 Laura_Gobai_0001 Kim_Weeks_0001",
        },
        "glasses": {"portraits_second": "M000312 D000631 F000470 K000009 S001191 C001112"},
        "hands": {
            "unmasked": "4131b498 eb85e878 f7f17bbb",
            "people_grey": "Astrid_Eyzaguirre_0001 Heizo_Takenaka_0001 Elias_Attallah_0001 Eminem_0001 Paula_Locke_0001"
            " Adrian_Annus_0001 Donna_Barrera_0001",
        },
        "things": {
            "unmasked": "d70d2994",
            "people_grey": "Nestor_Gonzalez_0001 Enrique_Iglesias_0001 Fred_Thompson_0002 Jayne_Yarris_0001"
            " Ernie_Els_0001 David_Bisbal_0001 Barry_Alvarez_0001",
        },
        "none": {
            "portraits_second": "A000055 A000148 A000371 B000490 B001223 B001295 C000141 C000537 C001054 C001072"
            " C001097 D000096 D000563 D000623 E000296 G000359 G000551 G000553 G000568 G000586 H001066 J000294 K000389"
            " L000578 M001190 N000002 N000189 R000599 S001184 T000193 V000130 W000795",
            "people_grey": "Kamal_Kharrazi_0001 Keith_Tyson_0001 Kenneth_Bowersox_0001 Leander_Paes_0002"
            " Lionel_Hampton_0001 Keith_Brown_0001 Larry_Johnson_0001",
        },
    },
}  # fmt: skip

SIDE = 300
"""Pixels of a face on a sheet."""


def path_of(data: Path, folder: str, name: str) -> Path:
    """Where a case's picture lies: grey ones in a folder a person."""
    return data / folder / (name.rsplit("_", 1)[0] if folder == "people_grey" else "") / f"{name}.jpg"


def cut(pixels: Picture, box: Box) -> Picture:
    """The face and its surroundings as a square of `SIDE` pixels."""
    import cv2

    (x, y), scale = box.center, SIDE / (1.35 * max(box.width, box.height))
    matrix = np.array([[scale, 0, SIDE / 2 - x * scale], [0, scale, SIDE / 2 - y * scale]])
    return np.asarray(cv2.warpAffine(pixels, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA), np.uint8)


def row(path: Path, models: tuple) -> tuple[Picture, float, float] | None:
    """A face bare, masked over everything, and masked behind what is in front; the share held back; milliseconds."""
    import cv2

    pixels = images.read(path)
    faces = find_faces(pixels, *models)
    try:
        face = max(faces, key=lambda face: face.box.width)
        prepared = replace(prepare(pixels, face), front=None)
    except (ValueError, MaskingError) as error:
        print(f"{path.stem}: {error}")
        return None
    times = []
    for _ in range(3):
        start = time.thread_time()
        front = in_front(pixels, face.mesh, prepared.frame, prepared.roi)
        times.append(1000 * (time.thread_time() - start))
    spec = draw_spec(f"{path.name}/0")
    over = render(pixels, face, spec, prepared=prepared)
    behind = render(pixels, face, spec, prepared=replace(prepared, front=front))
    held = 1 - float(behind.alpha.sum() / over.alpha.sum())
    cells = np.hstack([cut(shown, face.box) for shown in (pixels, over.picture, behind.picture)])
    cv2.putText(cells, f"{path.stem} {held:.3f}", (4, SIDE - 6), 0, 0.45, (255, 255, 0), 1, cv2.LINE_AA)
    return cells, held, min(times)


def main(data: str, out: str, *parts: str) -> None:
    models = FaceModels(device="cpu").load()
    for part in parts or CASES:
        for what, folders in CASES[part].items():
            names = [(folder, name) for folder, listed in folders.items() for name in listed.split()]
            rows = [found for case in names if (found := row(path_of(Path(data), *case), models))]
            cells = [found[0] for found in rows] + [np.zeros_like(rows[0][0])] * (-len(rows) % 3)
            sheet = np.vstack([np.hstack(cells[n : n + 3]) for n in range(0, len(cells), 3)])
            (Path(out) / f"{part}_{what}.png").write_bytes(images.encode_png(sheet))
            held = [found[1] for found in rows]
            print(
                f"{part} {what}: {len(rows)} faces, something held back on {sum(n > 0 for n in held)}, "
                f"over 1% of the mask on {sum(n > 0.01 for n in held)}; {median(found[2] for found in rows):.2f} ms"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
