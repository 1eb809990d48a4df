import av
import cv2
import numpy as np
import pytest
from av.filter import Graph
from av.video.reformatter import Interpolation, VideoReformatter
from picture_helpers import (
    BT470BG,
    BT601,
    BT709,
    FULL,
    LIMITED,
    UNSPECIFIED,
    chroma_mean,
    contents,
    picture,
    scene,
)

from stream.compose.colour_space import ColourSpace
from stream.compose.picture import blank_like, to_native
from stream.compose.planes import Planes, blend, halve

SIZES = [(640, 480), (641, 359), (33, 17), (2, 1), (1, 1)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_planes_have_ceiled_chroma_and_no_padding(width, height):
    y, u, v = Planes.of(picture(width, height))
    assert y.shape == (height, width)
    assert u.shape == v.shape == ((height + 1) // 2, (width + 1) // 2)


def test_planes_are_views_into_the_picture():
    frame = av.VideoFrame(641, 359, "yuv420p")
    assert frame.planes[0].line_size > 641
    Planes.flat((16, 100, 200), 641, 359).copy_to(Planes.of(frame))
    assert [set(plane.ravel().tolist()) for plane in Planes.of(frame)] == [{16}, {100}, {200}]


def test_bottom_up_picture_is_read_the_right_way_round():
    upright = picture(64, 48)
    graph = Graph()
    source = graph.add_buffer(width=64, height=48, format="yuv420p", time_base=upright.time_base)
    graph.link_nodes(source, graph.add("vflip"), graph.add("buffersink")).configure()
    graph.push(upright)
    flipped = graph.pull()
    assert flipped.planes[0].line_size < 0
    for plane, other in zip(Planes.of(flipped), contents(upright), strict=True):
        assert np.array_equal(plane, other[::-1])


def test_crop_takes_the_same_region_of_every_plane():
    y, u, v = Planes.of(picture(641, 359)).crop(600, 340, 641, 359)
    assert y.shape == (19, 41)
    assert u.shape == v.shape == (10, 21)


def test_blend_is_within_one_of_the_exact_mixture():
    values = np.arange(256, dtype=np.uint8)
    front, alpha = np.meshgrid(values, values)
    for back_value in (0, 7, 128, 255):
        back = np.full_like(front, back_value)
        out = np.empty((256, 300), np.uint8)[:, :256]
        blend(front, back, alpha, out)
        exact = (front * alpha.astype(float) + back * (255.0 - alpha)) / 255
        assert np.abs(out - exact).max() <= 1
        assert np.array_equal(out[255], front[255])
        assert np.array_equal(out[0], back[0])


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_halve_is_the_mean_of_blocks(width, height):
    plane = np.random.default_rng(1).integers(0, 256, (height, width), np.uint8)
    assert np.abs(halve(plane) - chroma_mean(plane)).max() <= 0.5


@pytest.mark.parametrize(
    ("matrix", "full", "colour", "codes"),
    [  # the colour bars of BT.601 and BT.709
        (BT601, False, "#ff0000", (81, 90, 240)),
        (BT470BG, False, "#0000ff", (41, 240, 110)),
        (BT709, False, "#ff0000", (63, 102, 240)),
        (BT709, False, "#00ff00", (173, 42, 26)),
        (BT601, False, "#ffffff", (235, 128, 128)),
        (BT709, True, "#ffffff", (255, 128, 128)),
        (BT601, True, "#000000", (0, 128, 128)),
        (BT601, True, "#FF0000", (76, 85, 255)),
    ],
)
def test_colours_become_the_codes_of_the_standards(matrix, full, colour, codes):
    assert ColourSpace.of(picture(16, 16, full, matrix)).codes(colour) == codes


def test_unspecified_matrix_goes_by_height():
    assert ColourSpace.of(picture(64, 719)) == ColourSpace.of(picture(64, 64, False, BT601))
    assert ColourSpace.of(picture(64, 720)) == ColourSpace.of(picture(64, 64, False, BT709))


@pytest.mark.parametrize("matrix", [BT601, BT709])
@pytest.mark.parametrize("full", [False, True])
def test_rgb_becomes_the_planes_that_a_decoder_turns_back(matrix, full):
    smooth = cv2.GaussianBlur(scene(320, 180), (0, 0), 4)
    frame = blank_like(picture(320, 180, full, matrix))
    ColourSpace.of(frame).planes(smooth).copy_to(Planes.of(frame))
    assert _distance(frame, smooth) < 1
    frame.colorspace = BT601 + BT709 - matrix
    assert _distance(frame, smooth) > 3  # the matrix does matter


def _distance(frame, rgb):
    exact = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    return np.abs(frame.to_ndarray(format="rgb24", interpolation=exact) - rgb.astype(int)).mean()


@pytest.mark.parametrize(
    "name", ["nv12", "yuv422p", "yuv444p", "yuv420p10le", "yuvj422p", "yuyv422", "yuva420p"]
)
@pytest.mark.parametrize("full", [False, True])
def test_other_yuv_formats_keep_their_codes_and_tags(name, full):
    expected = picture(64, 48, full, BT709)
    other = expected.reformat(
        format=name, src_color_range=FULL if full else LIMITED, dst_color_range=2 if full else 1
    )
    native = to_native(other, VideoReformatter())
    assert native.format.name == "yuv420p"
    assert (native.color_range, native.colorspace) == (FULL if full else LIMITED, BT709)
    assert (native.pts, native.time_base) == (expected.pts, expected.time_base)
    luma, original = Planes.of(native).y, Planes.of(expected).y
    assert np.abs(luma.astype(int) - original).max() <= 1


def test_full_range_by_name_alone_is_kept():
    for name in ("yuvj420p", "yuvj444p", "gray"):
        frame = picture(64, 48, full=True).reformat(format=name)
        frame.color_range = 0
        luma = np.frombuffer(frame.planes[0], np.uint8).reshape(48, -1)[:, :64].copy()
        native = to_native(frame, VideoReformatter())
        assert blank_like(native).color_range == FULL
        assert np.abs(Planes.of(native).y.astype(int) - luma).max() <= 1


@pytest.mark.parametrize(("height", "matrix"), [(360, BT601), (720, BT709)])
@pytest.mark.parametrize("name", ["rgb24", "bgra", "gbrp"])
def test_rgb_pictures_become_yuv_with_tags_that_say_how(name, height, matrix):
    rgb = cv2.GaussianBlur(scene(64, height), (0, 0), 4)
    frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=name)
    native = to_native(frame, VideoReformatter())
    assert (native.colorspace, native.color_range) == (matrix, LIMITED)
    exact = ColourSpace.of(native).planes(rgb)
    for plane, other in zip(Planes.of(native), exact, strict=True):
        assert np.abs(plane.astype(int) - other).mean() < 1.5


def test_colour_spaces_without_a_matrix_here_pass_unharmed():
    for matrix in (0, 3, 8, 10, 14):
        frame = picture(64, 48, format="nv12")
        frame.colorspace = matrix
        assert to_native(frame, VideoReformatter()).colorspace == matrix
        ColourSpace.of(frame)


def test_native_pictures_are_not_copied():
    for name in ("yuv420p", "yuvj420p"):
        frame = picture(64, 48, matrix=UNSPECIFIED, format=name)
        assert to_native(frame, VideoReformatter()) is frame


def test_blank_has_size_times_and_tags():
    frame = picture(641, 359, True, BT709)
    frame.dts, frame.duration, frame.color_trc, frame.color_primaries = 12300, 3000, 1, 1
    blank = blank_like(frame)
    size_and_times = ("width", "height", "pts", "dts", "duration", "time_base")
    for name in (*size_and_times, "colorspace", "color_trc", "color_primaries"):
        assert getattr(blank, name) == getattr(frame, name)
    assert blank.color_range == FULL


def test_blank_of_a_picture_without_times():
    blank = blank_like(av.VideoFrame(16, 16, "yuv420p"))
    assert blank.pts is None
    assert blank.time_base is None
