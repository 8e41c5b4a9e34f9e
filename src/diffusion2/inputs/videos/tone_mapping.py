"""Colours of HDR and wide-gamut videos as 8-bit sRGB, by the published curves.

Light is linear and relative to the SDR white, which is HDR's reference white of 203 cd/m² (ITU-R BT.2408-7,
2.2): what an SDR picture shows looks the same in its HDR twin, and only what is brighter is compressed.
"""

from functools import cache

import numpy as np

BT709, UNSPECIFIED = 1, 2
"""Code points of ITU-T H.273, as all of these: primaries and transfers."""
BT2020, DCI_P3, DISPLAY_P3 = 9, 11, 12
PQ, HLG = 16, 18

WHITE_NITS = 203.0
HLG_PEAK_NITS = 1000.0
HLG_GAMMA = 1.2
"""Of a display with that peak (BT.2100-2, table 5)."""
LUMINANCE = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
"""Of BT.2020's primaries."""
BRIGHTEST = 99.9
"""The percentile that counts as a video's peak: single pixels are noise and glints."""
OVERSHOOT = 1.1
"""Up to this peak, light above white is what encoders add beside edges: it is cut off, and white stays."""

CHROMATICITIES = {
    BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    DCI_P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    DISPLAY_P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
"""x and y of red, green and blue. White is D65 in all: DCI's own is for cinemas; players keep grey grey."""
D65 = (0.3127, 0.3290)


def to_light(values: np.ndarray, transfer: int) -> np.ndarray:
    """Decode 16-bit R'G'B' to light.

    Args:
        values: (H, W, 3) uint16, full range.
        transfer: code point; what is neither PQ nor HLG is taken for sRGB, as players take it.

    Returns:
        (H, W, 3) float32, 1 is the SDR white.
    """
    light = _decoding(transfer)[values]
    if transfer == HLG:  # the display's part of the curve acts on luminance
        light *= (light @ LUMINANCE)[..., None] ** np.float32(HLG_GAMMA - 1)
        light *= np.float32(HLG_PEAK_NITS / WHITE_NITS)
    return light


def peak_of(light: np.ndarray) -> float:
    """Measure the brightest light of a picture, at least the SDR white.

    By luminance, as single channels overshoot beside coloured edges wherever colour has half the resolution.
    """
    peak = float(np.percentile(light @ LUMINANCE, BRIGHTEST))
    return peak if peak > OVERSHOOT else 1.0


def tone_map_to_srgb(light: np.ndarray, primaries: int, peak: float) -> np.ndarray:
    """Bring light of any brightness and gamut to sRGB.

    Args:
        light: (H, W, 3) float32, 1 is white; changed in place.
        primaries: code point of its primaries; unknown ones are taken for sRGB's.
        peak: the brightest light, which becomes white.

    Returns:
        (H, W, 3) uint8; colours outside of sRGB are clipped.
    """
    if peak > 1:
        brightest = light.max(-1)
        light *= (compress(brightest, peak) / np.maximum(brightest, 1e-6))[..., None]
    if primaries in CHROMATICITIES and primaries != BT709:
        light = light @ _to_bt709(primaries).T
    return _encoding()[(light.clip(0, 1) * 65535).round().astype(np.uint16)]


def compress(light: np.ndarray, peak: float) -> np.ndarray:
    """Map light of 0 … peak to 0 … 1, by the curve of ITU-R BT.2390-11, 5.4.1: a knee in PQ's scale.

    Dark light stays as it is; the nearer the peak is to 1, the more does.
    """
    top = _encode_pq(np.array(peak * WHITE_NITS))
    target = _encode_pq(np.array(WHITE_NITS)) / top
    knee = max(1.5 * target - 0.5, 0.0)
    source = np.linspace(0, 1, 1024)
    t = ((source - knee) / max(1 - knee, 1e-6)).clip(0, 1)
    bent = (
        (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * target
    )
    mapped = np.where(source < knee, source, bent)
    before, after = (_decode_pq(scale * top) / WHITE_NITS for scale in (source, mapped))
    return np.interp(light, before, after).astype(np.float32)


@cache
def _decoding(transfer: int) -> np.ndarray:
    """Table of the light (65536,) of all 16-bit values; for HLG that of the scene."""
    values = np.linspace(0, 1, 65536)
    if transfer == PQ:
        light = _decode_pq(values) / WHITE_NITS
    elif transfer == HLG:  # BT.2100-2, table 5, the inverse OETF
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    else:  # IEC 61966-2-1
        light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@cache
def _encoding() -> np.ndarray:
    """Table of the 8-bit sRGB values (65536,) of light in steps of 1/65535."""
    light = np.linspace(0, 1, 65536)
    values = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (values * 255).round().astype(np.uint8)


# SMPTE ST 2084, in BT.2100-2, table 4
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128


def _decode_pq(values: np.ndarray) -> np.ndarray:
    """The EOTF: values in [0, 1] to cd/m²."""
    power = values ** (1 / _M2)
    return 10000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)


def _encode_pq(nits: np.ndarray) -> np.ndarray:
    power = (nits / 10000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


@cache
def _to_bt709(primaries: int) -> np.ndarray:
    """The (3, 3) matrix from light of these primaries to that of BT.709's."""
    matrix = np.linalg.inv(_to_xyz(BT709)) @ _to_xyz(primaries)
    return matrix.astype(np.float32)


def _to_xyz(primaries: int) -> np.ndarray:
    """The (3, 3) matrix from RGB to XYZ (SMPTE RP 177): its columns add up to white."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in CHROMATICITIES[primaries]]).T
    x, y = D65
    return columns * np.linalg.solve(columns, np.array([x / y, 1, (1 - x - y) / y]))
