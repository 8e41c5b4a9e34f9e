"""What is cut out of drawn pictures, compared with what was drawn; and what is said about it."""

import re

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from diffusion2.errors import InputError, WeightsError
from diffusion2.inputs.cutting import cut_out as module
from diffusion2.inputs.cutting.cut_out import cut_out
from diffusion2.inputs.framing import visible_box
from diffusion2.runs.source import InputSettings

from .conftest import read, write_frames
from .drawn import (
    GREEN_SCREEN,
    ORANGE,
    SIZE,
    Layer,
    as_picture,
    busy,
    composed,
    coordinates,
    creature,
    gradient,
    jpeg,
    noisy,
    overlap,
    plain,
    ring,
    shaded,
    sweep,
    vignette,
    with_alpha,
)

GREY = {"body": (130, 130, 132), "head": (120, 120, 122), "tail": (110,) * 3, "legs": (100,) * 3}
DARK = {"body": (22, 20, 18), "head": (26, 24, 22), "tail": (18, 17, 16), "legs": (16, 15, 14)}
LIGHT = "soft light or shadow on the background is left out"


def shadowed(ground, layer=None, **options):
    layer = layer or creature()
    return composed(layer, shaded(ground, layer, **options))


def compressed(drawn, quality):
    picture, alpha = drawn
    return jpeg(picture, quality), alpha


def grained(drawn, deviation):
    picture, alpha = drawn
    return as_picture(noisy(np.asarray(picture, float), deviation)), alpha


def scribbled(scale=1.0, **marks):
    """The creature on white with what is no part of it."""
    picture, alpha = composed(creature(scale=scale), plain((240, 240, 235)))
    draw = ImageDraw.Draw(picture)
    for x, y in marks.get("dots", ()):
        draw.rectangle((x, y, x + 2, y + 2), fill=(20, 20, 20))
    if "text" in marks:
        draw.text((180, 163), marks["text"], fill=(110, 110, 110))
    if "line" in marks:
        draw.rectangle((0, 0, SIZE[0] - 1, SIZE[1] - 1), outline=marks["line"])
    return picture, alpha


def two():
    layer = creature(scale=0.6, x=-60)
    layer.picture.alpha_composite(creature(scale=0.45, x=60, y=10, body=(60, 150, 80)).picture)
    return composed(layer, plain((250, 250, 245)))


def bust():
    layer = Layer().ellipse((85, 30, 155, 110), fill=(220, 170, 140))
    return composed(layer.ellipse((40, 100, 200, 300), fill=(60, 60, 150)), plain((240, 240, 240)))


def face_on_black():
    layer = Layer().ellipse((60, 30, 180, 150), fill=(240, 200, 60))
    for x in (95, 145):
        layer.ellipse((x - 14, 65, x + 14, 95), fill=(250, 250, 250))
        layer.ellipse((x - 7, 73, x + 7, 88), fill=(0, 0, 0))
    return composed(layer, plain((0, 0, 0)))


def outlined(ground):
    """A white thing inside a dark line, on any ground."""
    return composed(
        Layer().ellipse((60, 30, 180, 150), fill=(255, 255, 255), outline=(20, 20, 20), width=4),
        plain(ground),
    )


def spiky():
    layer = Layer().ellipse((90, 60, 150, 120), fill=(60, 60, 60))
    for angle in np.arange(12) * np.pi / 6:
        end = 120 + 75 * np.cos(angle), 90 + 75 * np.sin(angle)
        layer.line((120, 90, *end), fill=(60, 60, 60), width=1.5)
    return composed(layer, plain((235, 225, 200)))


def spotlight():
    x, y = coordinates()
    light = 1 + 0.9 * np.exp(-((x * 1.2) ** 2 + (y - 0.2) ** 2) * 2)
    return composed(creature(), plain((90, 95, 100)) * light[..., None])


def badge():
    layer = Layer().ellipse((60, 30, 180, 150), fill=(200, 60, 40))
    return composed(layer.ellipse((95, 65, 145, 115), fill=(20, 140, 60)), plain(GREEN_SCREEN))


BACKGROUNDS = {
    "white": (lambda: composed(creature(), plain()), 0.99, None),
    "a gradient": (lambda: composed(creature(), gradient((235, 240, 250), (90, 100, 130))), 0.99, None),
    "a vignette": (lambda: composed(creature(), vignette()), 0.99, None),
    "a studio's paper": (lambda: composed(creature(), sweep()), 0.99, None),
    "noise": (lambda: grained(composed(creature(), plain((150, 150, 150))), 8), 0.98, None),
    "strong JPEG": (lambda: compressed(composed(creature(), plain()), 30), 0.98, None),
    "JPEG on green": (lambda: compressed(composed(creature(), plain(GREEN_SCREEN)), 60), 0.95, "speck|^$"),
    "a spotlight": (spotlight, 0.95, LIGHT),
    "an edge line around the picture": (lambda: scribbled(line=(0, 0, 0)), 0.99, "speck"),
    "an object that touches the border": (
        lambda: composed(creature(x=-70, y=40), plain((230, 230, 235))),
        0.99,
        None,
    ),
    "an object that fills the lower border": (bust, 0.99, None),
    "thin parts": (spiky, 0.97, None),
    "two objects": (two, 0.99, None),
    "small": (lambda: composed(creature((64, 48), scale=0.27), plain((250,) * 3, (64, 48))), 0.98, None),
    "a grey object on white": (lambda: composed(creature(**GREY), plain((245, 245, 245))), 0.99, None),
    # holes
    "a ring on green": (lambda: composed(ring(), plain(GREEN_SCREEN)), 0.98, None),
    "a ring on blue": (lambda: composed(ring(), plain((30, 60, 220))), 0.98, None),
    "a ring on grey": (lambda: composed(ring(), plain((128, 128, 128))), 0.98, None),
    "a ring on black": (lambda: composed(ring(), plain((0, 0, 0))), 0.98, None),
    "a ring on a green gradient": (
        lambda: composed(ring(), gradient((30, 220, 70), (15, 150, 40))),
        0.98,
        None,
    ),
    "a ring on green in JPEG": (lambda: compressed(composed(ring(), plain(GREEN_SCREEN)), 75), 0.97, None),
    "a ring on green with noise": (lambda: grained(composed(ring(), plain((60, 160, 90))), 5), 0.97, None),
    "a ring on green in its shadow": (lambda: shadowed(plain(GREEN_SCREEN), ring()), 0.98, LIGHT),
    "another green inside on green": (badge, 0.99, None),
    "black eyes on black": (face_on_black, 0.99, "white or black as the background"),
    "a white belly on white": (lambda: outlined((255, 255, 255)), 0.99, "white or black as the background"),
    "a white belly on red": (lambda: outlined((200, 60, 90)), 0.99, None),
    # shadows
    "a shadow on white": (lambda: shadowed(plain((250, 250, 250))), 0.98, LIGHT),
    "a deep shadow": (lambda: shadowed(plain((235, 235, 235)), depth=0.75, blur=5), 0.97, LIGHT),
    "a shadow on green": (lambda: shadowed(plain((90, 160, 110)), depth=0.6), 0.98, LIGHT),
    "a shadow on a studio's paper": (lambda: shadowed(sweep(), depth=0.6), 0.98, LIGHT),
    "a shadow in JPEG": (lambda: compressed(shadowed(plain((250, 250, 250))), 70), 0.97, LIGHT),
    "a grey object's shadow": (lambda: shadowed(plain((245,) * 3), creature(**GREY), depth=0.5), 0.98, LIGHT),
    # dark on black
    "a dark object on black": (lambda: composed(creature(**DARK), plain((0, 0, 0))), 0.97, None),
    "a dark object on black with noise": (
        lambda: grained(
            composed(creature(**{k: tuple(2 * c for c in v) for k, v in DARK.items()}), plain((4,) * 3)), 2
        ),
        0.96,
        None,
    ),
    # specks
    "dots far from the object": (lambda: scribbled(0.7, dots=[(4, 4), (230, 172)]), 0.98, "2 specks"),
    "letters in a corner": (lambda: scribbled(0.8, text="(c) shop"), 0.98, "specks"),
}
"""A picture with its truth, how well it is to be found, and the note. Edges of a pixel make up the rest."""


def cut(pictures, **how):
    """What is cut out of pictures, and all notes."""
    notes = []
    found = cut_out(
        [picture.convert("RGBA") for picture in pictures],
        InputSettings(**how),
        "it",
        lambda event: notes.append(event.message),
    )
    return found, notes


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_the_object_is_found_on_a_plain_background(name):
    make, least, note = BACKGROUNDS[name]
    picture, truth = make()
    (found,), notes = cut([picture], background="plain")
    assert overlap(found.getchannel("A"), truth) > least
    assert re.search(note, " ".join(notes)) if note else notes == []
    assert all("--mask FILE" in line for line in notes)


@pytest.mark.parametrize("name", ["a ring on green", "JPEG on green", "a shadow on green", "thin parts"])
def test_no_line_of_the_background_is_left_on_white(name):
    """Along the edge, the picture on white is as if it had been drawn there."""
    drawn = {
        "a ring on green": ring(),
        "JPEG on green": creature(),
        "a shadow on green": creature(),
        "thin parts": None,
    }[name]
    picture, truth = BACKGROUNDS[name][0]()
    (found,), _ = cut([picture], background="plain")
    white = Image.new("RGBA", found.size, "white")
    shown = np.asarray(Image.alpha_composite(white, found).convert("RGB"), float)
    edge = (truth > 0.02) & (truth < 0.98)
    if drawn is None:
        assert (
            shown[edge].max(-1) - shown[edge].min(-1)
        ).mean() < 6  # grey as the thing, the ground is yellowish
        return
    wanted = np.asarray(composed(drawn, plain())[0], float)
    # with the green left in, pixels of the edge differ by 60 and more; JPEG's colours have half the pixels
    assert np.abs(shown - wanted)[edge].mean() < (40 if "JPEG" in name else 12)


def test_what_is_far_from_the_object_does_not_move_the_framing():
    clean, _ = cut([composed(creature(scale=0.7), plain((240, 240, 235)))[0]], background="plain")
    dotted, _ = cut([scribbled(0.7, dots=[(4, 4), (230, 172)])[0]], background="plain")
    assert visible_box(dotted[0]) == visible_box(clean[0])


# -- alpha --------------------------------------------------------------------------------------------


def stacked(colours, alpha):
    return as_picture(np.dstack([np.broadcast_to(colours, (*alpha.shape, 3)), alpha]))


def drawn_alpha():
    rgba = creature().rgba()
    return rgba[..., :3], rgba[..., 3]


def rounded(radius):
    """Alpha of a screenshot, up to 255."""
    corners = Layer()
    corners.rounded_rectangle((0, 0, SIZE[0] - 1, SIZE[1] - 1), radius=radius * 4, fill=(0, 0, 0))
    return corners.rgba()[..., 3] * 255


def blurred(alpha, deviation):
    picture = Image.fromarray((alpha * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(deviation))
    return np.asarray(picture, float) / 255


def hazy(level):
    colours, alpha = drawn_alpha()
    return stacked(
        colours * alpha[..., None] + 200 * (1 - alpha[..., None]), np.maximum(alpha * 255, level)
    ), alpha


def on_plain(alpha_of):
    """The creature on a plain ground, with an alpha channel."""

    def make():
        picture, alpha = composed(creature(), plain((240, 235, 220)))
        return stacked(np.asarray(picture, float), alpha_of(alpha)), alpha

    return make


def premultiplied():
    colours, alpha = drawn_alpha()
    return stacked(colours * alpha[..., None], alpha * 255), alpha


def with_drop_shadow():
    colours, alpha = drawn_alpha()
    shadow = np.roll(blurred(alpha, 8) * 0.5, (10, 14), (0, 1))
    whole = alpha + shadow * (1 - alpha)
    return stacked(colours * (alpha / np.maximum(whole, 1e-6))[..., None], whole * 255), alpha


def dithered():
    """An outline of single pixels, opaque or not."""
    _, alpha = drawn_alpha()
    chance = np.random.default_rng(0).random(alpha.shape)
    return stacked(np.array(ORANGE), (blurred(alpha, 2) > chance) * 255.0), alpha


def sunglasses():
    layer = Layer().line((110, 80, 130, 80), fill=(20, 20, 20, 255), width=4)
    for x in (80, 160):
        layer.ellipse((x - 32, 60, x + 32, 110), fill=(0, 0, 0, 150), outline=(20, 20, 20, 255), width=3)
    return with_alpha(layer), layer.rgba()[..., 3]


def rounded_box():
    layer = Layer((100, 100))
    layer.rounded_rectangle((0, 0, 99, 99), radius=24, fill=(200, 60, 50))
    return with_alpha(layer), layer.rgba()[..., 3]


def dotted():
    colours, alpha = drawn_alpha()
    alpha = alpha * 255
    alpha[5:8, 5:8] = 255
    return stacked(colours, alpha), drawn_alpha()[1]


def hidden_noise():
    colours, alpha = drawn_alpha()
    return stacked(np.where(alpha[..., None] > 0, colours, busy()), alpha * 255), alpha


ALPHAS = {
    "a cut-out": (lambda: (with_alpha(creature()), drawn_alpha()[1]), None),
    "a cut-out that hides other colours": (hidden_noise, None),
    "a dithered outline": (dithered, "speck|^$"),
    "dark lenses": (sunglasses, None),
    "a thing with round corners": (rounded_box, None),
    "haze all around": (
        lambda: hazy(30),
        "nearly transparent around the object is left out.*--background alpha",
    ),
    "uneven haze": (
        lambda: hazy(np.random.default_rng(0).uniform(5, 45, SIZE[::-1])),
        "nearly transparent around the object is left out.*--background alpha",
    ),
    "a drop shadow": (with_drop_shadow, "drop shadow.*left out.*--background alpha"),
    "colours multiplied by alpha": (premultiplied, "multiplied by alpha, which is undone"),
    "alpha the other way round": (on_plain(lambda a: 255 - a * 255), "taken the other way round"),
    "a dot": (dotted, "a speck beside the object"),
    "opaque alpha": (on_plain(lambda a: np.full_like(a, 255)), None),
    "round corners": (
        on_plain(lambda a: rounded(20)),
        "corners or edges are transparent.*--background alpha",
    ),
    "very round corners": (on_plain(lambda a: rounded(40)), "corners or edges are transparent"),
    "nearly opaque alpha": (
        on_plain(lambda a: 200 + 55 * a),
        "nearly the same everywhere.*--background alpha",
    ),
    "nearly transparent alpha": (on_plain(lambda a: np.full_like(a, 30)), "nearly the same everywhere"),
    "half transparent alpha": (on_plain(lambda a: np.full_like(a, 120)), "nearly the same everywhere"),
}


@pytest.mark.parametrize("name", ALPHAS)
def test_an_alpha_channel_is_believed_where_it_can_mean_the_object(name):
    make, note = ALPHAS[name]
    picture, truth = make()
    (found,), notes = cut([picture], background="plain")
    # dithering frays the outline, and a shadow darkens soft edges
    assert overlap(found.getchannel("A"), truth) > (0.85 if "dithered" in name else 0.96)
    assert re.search(note, " ".join(notes)) if note else notes == []


def test_colours_that_were_multiplied_by_alpha_leave_no_dark_line():
    (found,), _ = cut([premultiplied()[0]])
    (wanted,), _ = cut([with_alpha(creature())])
    white = Image.new("RGBA", found.size, "white")
    shown, expected = (np.asarray(Image.alpha_composite(white, p), float) for p in (found, wanted))
    # a step of 8 bits, divided by a small alpha and multiplied by it again
    assert np.abs(shown - expected).max() <= 3


def test_alpha_is_taken_as_it_is_where_that_is_wanted():
    for make in (on_plain(lambda a: rounded(20)), with_drop_shadow, lambda: hazy(30)):
        picture, _ = make()
        (found,), notes = cut([picture], background="alpha")
        assert found.tobytes() == picture.tobytes()
        assert notes == []
    with pytest.raises(InputError, match="nothing transparent in it, which --background alpha needs"):
        cut([composed(creature(), plain())[0]], background="alpha")


# -- the network -----------------------------------------------------------------------------------------


@pytest.fixture
def seen(monkeypatch):
    """A network that sees what a test says."""
    masks = []

    def see(picture, network):
        return Image.fromarray((masks[0] * 255).astype(np.uint8)).resize(picture.size)

    monkeypatch.setattr(module, "find_matting_network", lambda given: given)
    monkeypatch.setattr(module, "object_mask", see)
    return masks


@pytest.fixture
def no_network(monkeypatch):
    def find(given):
        raise WeightsError("no network")

    monkeypatch.setattr(module, "find_matting_network", find)


def test_a_note_says_that_the_network_was_asked_for(seen):
    picture, truth = composed(creature(), plain())
    seen.append(truth)
    _, (note,) = cut([picture], background="network")
    assert note == "it: the network u2netp.onnx found the object, as --background network asks"
    _, (note,) = cut([composed(creature(), busy())[0]])
    assert "its background is not plain, so the network" in note
    assert "--mask FILE" in note


def test_the_network_may_overrule_alpha(seen):
    _, truth = composed(creature(), plain())
    seen.append(truth)
    picture = stacked(np.asarray(composed(creature(), busy())[0], float), rounded(20))
    (found,), _ = cut([picture], background="network")
    assert overlap(found.getchannel("A"), truth) > 0.99


def white_on_white():
    layer = creature(body=(250,) * 3, head=(246,) * 3, tail=(240,) * 3, legs=(230,) * 3)
    return shadowed(plain(), layer, depth=0.4)


def test_the_network_finds_a_white_object_on_white(seen):
    picture, truth = white_on_white()
    seen.append(truth)
    (found,), notes = cut([picture])
    assert overlap(found.getchannel("A"), truth) > 0.95
    assert "no more than a shadow does, so the network u2netp.onnx found it" in notes[0]


def test_the_network_tells_a_grey_ball_from_its_shadow_on_grey(seen):
    layer = Layer()
    x, y = coordinates()
    light = np.clip(150 - 60 * x - 90 * y, 40, 250)[..., None] * np.ones(3)
    truth = layer.ellipse((70, 40, 170, 140), fill=(0, 0, 0)).rgba()[..., 3]
    ground = shaded(plain((150, 150, 150)), layer, depth=0.5)
    picture = as_picture(light * truth[..., None] + ground * (1 - truth[..., None]))
    seen.append(truth)
    (found,), notes = cut([picture])
    assert overlap(found.getchannel("A"), truth) > 0.97
    assert "no more than a shadow does" in notes[0]


def test_a_shadow_that_the_network_does_not_see_is_left_out(seen):
    picture, truth = shadowed(plain((250, 250, 250)))
    seen.append(truth * 0.9)
    (found,), notes = cut([picture])
    assert overlap(found.getchannel("A"), truth) > 0.98
    assert LIGHT in notes[0]


def test_dark_folds_before_black_are_the_objects_where_the_network_sees_it(seen):
    whole = Layer().ellipse((60, 30, 180, 150), fill=(190, 150, 90)).rgba()[..., 3]
    picture, _ = composed(
        Layer().ellipse((60, 30, 180, 150), fill=(190, 150, 90)).rectangle((50, 88, 150, 96), fill=(1, 1, 1)),
        plain((0, 0, 0)),
    )
    seen.append(whole)
    (found,), notes = cut([picture])
    assert overlap(found.getchannel("A"), whole) > 0.98
    assert "as dark as the background, and the network u2netp.onnx found it there" in notes[0]


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0)])
def test_holes_before_white_and_black_are_those_that_the_network_does_not_see(seen, colour):
    layer = ring(colour=(90, 140, 190), width=45)
    picture, truth = composed(layer, plain(colour))
    seen.append(truth)
    (found,), notes = cut([picture])
    assert overlap(found.getchannel("A"), truth) > 0.98
    assert notes == []
    seen[:] = [layer.ellipse((60, 30, 180, 150), fill=colour).rgba()[..., 3]]
    (found,), (note,) = cut([picture])
    assert overlap(found.getchannel("A"), seen[0]) > 0.98
    assert "are not taken for holes; --mask FILE" in note


def test_where_no_network_can_be_asked_the_note_says_so(no_network):
    _, (note,) = cut([shadowed(plain((250, 250, 250)))[0]])
    assert f"{LIGHT}; no network is here to tell; --mask FILE" in note
    (found,), (note,) = cut([white_on_white()[0]])
    assert "shadows are taken for parts of it; no network is here to tell" in note
    assert visible_box(found) is not None
    with pytest.raises(InputError, match=r"not plain.*install background removal"):
        cut([composed(creature(), busy())[0]])


# -- sequences -------------------------------------------------------------------------------------------


def test_all_pictures_of_a_sequence_are_cut_out_in_the_same_way(seen):
    """One has a busy border; all are the network's then, though most could be cut out by their plain one."""
    pairs = [composed(creature(x=x), plain() if x else busy()) for x in (-20, 0, 20)]
    seen.append(np.ones(SIZE[::-1]))
    found, (note,) = cut([picture for picture, _ in pairs])
    assert "is not plain, so the network" in note
    assert all(np.asarray(picture.getchannel("A")).min() == 255 for picture in found)


def test_shadows_and_specks_are_decided_for_the_whole_sequence():
    pairs = [
        shadowed(plain((250, 250, 250)), creature(x=x), depth=d) for x, d in ((-20, 0.1), (0, 0.3), (20, 0.6))
    ]
    pictures = [picture for picture, _ in pairs]
    ImageDraw.Draw(pictures[1]).rectangle((4, 4, 6, 6), fill=(20, 20, 20))
    found, notes = cut(pictures, background="plain")
    assert all(
        overlap(picture.getchannel("A"), truth) > 0.97
        for picture, (_, truth) in zip(found, pairs, strict=True)
    )
    assert len(notes) == 2


def test_an_object_that_enters_covers_some_borders_more_than_others(tmp_path):
    pairs = [composed(creature(x=x, scale=1.6), plain((230, 230, 235))) for x in (-150, -100, -40, 0)]
    conditions, notes = read(write_frames(tmp_path / "f", [picture for picture, _ in pairs][::-1]), frames=4)
    assert notes == []
    assert (conditions.video[:, :, 0, 0] > 0.99).all()
