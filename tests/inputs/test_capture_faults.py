"""Captures that can't be used are refused in one line each, and lenses follow their formulas."""

import json
import re

import numpy as np
import pytest
from tests.inputs.capture_writers import (
    balls_at,
    look,
    opengl_pose,
    our_cameras,
    save,
    static_transforms,
    to_binary,
    write_colmap,
    write_frames,
    write_transforms,
)

from diffusion2.errors import InputError
from diffusion2.inputs.captures import read_capture
from diffusion2.inputs.captures.lens import Lens


def edit(change):
    """A fault in transforms.json of static cameras: `change` takes its content."""

    def spoil(folder):
        path = static_transforms(folder)
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return spoil


def change_frame(**values):
    return edit(lambda content: content["frames"][2].update(values))


def colmap(change):
    """A fault in COLMAP's files of static cameras: `change` takes the folder."""

    def spoil(folder):
        write_frames(folder, our_cameras(), [balls_at(0)])
        write_colmap(folder, [(f"cam{k}_0.png", camera) for k, camera in enumerate(our_cameras())], "PINHOLE")
        change(folder)

    return spoil


def replace_in(name, pattern, new):
    def change(folder):
        path = folder / name
        path.write_text(re.sub(pattern, new, path.read_text(), count=1, flags=re.MULTILINE))

    return change


def shrink_picture(folder):
    save(folder / "images/cam3_0.png", np.zeros((40, 90, 4), dtype=np.uint8))


def binary_cut_off(folder):
    to_binary(folder)
    (folder / "images.bin").write_bytes((folder / "images.bin").read_bytes()[:-60])


def binary_of_another_lens(folder, number=7):
    to_binary(folder)
    data = bytearray((folder / "cameras.bin").read_bytes())
    data[12:16] = number.to_bytes(4, "little")
    (folder / "cameras.bin").write_bytes(bytes(data) + bytes(8))


def binary_of_no_lens(folder):
    binary_of_another_lens(folder, 99)


def write_parallel(folder):
    cameras = [look((2, y, 0), (-2, y, 0)) for y in (0.0, 1e-4)]
    write_transforms(folder, [(n, c, None) for n, c, _ in write_frames(folder, cameras, [balls_at(0)])])


def mirrored_pose():
    pose = np.array(opengl_pose(our_cameras()[2]))
    pose[:3, 0] *= -1
    return pose.tolist()


NAN_POSE = [[float("nan")] * 4] * 4
SCALED_POSE = (2 * np.eye(4)).tolist()
FAULTS = {
    "not JSON": (lambda f: (f / "transforms.json").write_text("{"), "transforms.json can't be read"),
    "no frames": (edit(lambda c: c.update(frames=[])), 'no list "frames"'),
    "a list": (lambda f: (f / "transforms.json").write_text("[]"), 'no list "frames"'),
    "missing pictures": (change_frame(file_path="images/gone"), "1 are not there: images/gone"),
    "no name": (change_frame(file_path=None), 'frame 2 has no "file_path"'),
    "no pose": (change_frame(transform_matrix=None), "has shape"),
    "words as pose": (change_frame(transform_matrix="front"), "no matrix of 4 x 4 numbers"),
    "three by three": (change_frame(transform_matrix=np.eye(3).tolist()), r"has shape \(3, 3\), not"),
    "NaN": (change_frame(transform_matrix=NAN_POSE), "not finite: this camera was not found, leave it out"),
    "a scale": (change_frame(transform_matrix=SCALED_POSE), "no rotation and shift .*lengths 2, 2, 2"),
    "a mirror": (change_frame(transform_matrix=mirrored_pose()), "a mirrored one"),
    "equirectangular": (edit(lambda c: c.update(camera_model="EQUIRECTANGULAR")), "model EQUIRECTANGULAR"),
    "no focal length": (
        edit(lambda c: [[f.pop("fl_x"), f.pop("fl_y")] for f in c["frames"]]),
        'neither "camera_angle_x" nor',
    ),
    "focal length 0": (change_frame(fl_x=0), "a focal length must be above 0, not 0"),
    "focal length in words": (change_frame(fl_x="wide"), '"fl_x" must be a number'),
    "angle in degrees": (
        edit(lambda c: [c.update(camera_angle_x=40), *(f.pop("fl_x") for f in c["frames"])]),
        "3.14 radians",
    ),
    "time in words": (change_frame(time="noon"), '"time" of .* must be a number'),
    "time of one": (change_frame(time=0.5), 'cam0_0.png has no "time", while others have one'),
    "missing mask": (change_frame(mask_path="m.png"), "a mask that is not there: m.png; take out"),
    "another size": (lambda f: (static_transforms(f), shrink_picture(f)), "90 x 40 .* 96 x 96"),
    "one direction": (write_parallel, "all cameras see the object from one direction"),
    "twice": (edit(lambda c: c["frames"].append(c["frames"][0])), "are from one place, and neither a time"),
    "twice at one time": (
        edit(lambda c: [c["frames"].append(c["frames"][0]), *(f.update(time=0) for f in c["frames"])]),
        "taken from one place at one time",
    ),
    "binary COLMAP cut off": (colmap(binary_cut_off), r"images\.bin is cut off"),
    "binary COLMAP of another lens": (
        colmap(binary_of_another_lens),
        r"model FOV is not known .* image_undist",
    ),
    "binary COLMAP of a lens without a name": (colmap(binary_of_no_lens), "has the number 99, which is not"),
    "unknown model": (colmap(replace_in("cameras.txt", "PINHOLE", "FOV")), "FOV is not .* image_undist"),
    "few parameters": (
        colmap(replace_in("cameras.txt", r"^(1 PINHOLE.*) \S+$", r"\1")),
        r"PINHOLE has 4 parameters \(fx, fy, cx, cy\), not 3",
    ),
    "unknown camera": (colmap(replace_in("images.txt", r" 1 cam0_0", " 99 cam0_0")), "camera 99, which"),
    "quaternion 0": (colmap(replace_in("images.txt", r"^1 \S+ \S+ \S+ \S+", "1 0 0 0 0")), "its quaternion"),
    "NaN in COLMAP": (colmap(replace_in("images.txt", r"^1 \S+", "1 nan")), "not finite"),
    "COLMAP without a picture": (colmap(lambda f: (f / "images/cam1_0.png").unlink()), "there: cam1_0"),
    "short line": (colmap(replace_in("images.txt", r"^1 \S+ .*$", "1 0 0 cam")), "a picture has 10 parts"),
    "no images": (colmap(lambda f: (f / "images.txt").write_text("# none\n")), "names no pictures"),
    "words in COLMAP": (colmap(replace_in("cameras.txt", "96 96", "96 x")), "numbers are expected"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_that_says_what_to_do(tmp_path, fault):
    spoil, message = FAULTS[fault]
    spoil(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        read_capture(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lens", "direction", "pixel"),
    [
        (Lens(100, 80, 50, 60, 51, 39), (0.2, -0.1, 1), (61, 33)),
        # r² = 0.05: times 1 + 0.2 · 0.05 - 0.1 · 0.0025
        (Lens(100, 80, 50, 60, 51, 39, (0.2, -0.1)), (0.2, -0.1, 1), (51 + 10 * 1.00975, 39 - 6 * 1.00975)),
        # 2 p1 x y + p2 (r² + 2 x²), p1 (r² + 2 y²) + 2 p2 x y with p1 = 0.1, p2 = 0.2
        (
            Lens(100, 80, 50, 60, 51, 39, tangential=(0.1, 0.2)), (0.2, -0.1, 1),
            (51 + 50 * (0.2 - 0.004 + 0.026), 39 + 60 * (-0.1 + 0.007 - 0.008)),
        ),
        # 45° from the axis: an angle of π / 4
        (Lens(100, 80, 50, 50, 50, 40, fisheye=True), (1, 0, 1), (50 + 50 * np.pi / 4, 40)),
        (Lens(100, 80, 50, 50, 50, 40, rational=(1.0,)), (0.5, 0, 1), (50 + 25 / 1.25, 40)),
    ],
)  # fmt: skip
def test_lenses_follow_the_published_formulas_and_back(lens, direction, pixel):
    found, inside = lens.project(np.array(direction, float))
    np.testing.assert_allclose(found, pixel, atol=1e-9)
    assert inside
    np.testing.assert_allclose(lens.directions(found), np.array(direction) / direction[2], atol=1e-6)


def test_a_distorted_lens_shows_nothing_a_second_time():
    """1 - 0.3 r² turns back at r = 1.05; 1.8 would land at r = 0.05, in the middle of the picture."""
    lens = Lens(100, 100, 50, 50, 50, 50, (-0.3,))
    pixels, inside = lens.project(np.array([[1.8, 0, 1], [0.5, 0, 1], [0, 0, -1]], float))
    assert 40 < pixels[0, 0] < 60
    assert inside.tolist() == [False, True, False]
