"""Off-screen rendering of posed models through OpenGL (moderngl on EGL, software or GPU)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from diffusion2.cameras import Cameras
from diffusion2.errors import BackendUnavailable
from diffusion2.meshes.framing import Framing
from diffusion2.meshes.materials import Material
from diffusion2.meshes.model import AnimatedModel, PosedPrimitive, Primitive
from diffusion2.meshes.shaders import FRAGMENT_SHADER, VERTEX_SHADER

NEAR, FAR = 0.05, 20.0


@dataclass(frozen=True)
class Lighting:
    """A soft sky and one directional light.

    Attributes:
        azimuth_deg: where the light comes from, as for cameras.
        elevation_deg: its height.
        ambient: share of the sky's light, in [0, 1].
    """

    azimuth_deg: float = 30.0
    elevation_deg: float = 50.0
    ambient: float = 0.65

    @property
    def direction(self) -> tuple[float, float, float]:
        """Give the unit vector towards the light."""
        azimuth, elevation = np.deg2rad(self.azimuth_deg), np.deg2rad(self.elevation_deg)
        return (
            float(np.cos(elevation) * np.cos(azimuth)),
            float(np.cos(elevation) * np.sin(azimuth)),
            float(np.sin(elevation)),
        )


@dataclass(frozen=True)
class _Part:
    """One primitive on the GPU."""

    material: Material
    triangles: np.ndarray
    flat: bool
    moving: Any
    fixed: Any
    index: Any
    array: Any
    texture: Any

    def release(self) -> None:
        for resource in (self.array, self.moving, self.fixed, self.index):
            resource.release()


class MeshRenderer:
    """Renders one model at a time, any pose, any cameras; 2x supersampled.

    Opaque surfaces are seen from both sides, whatever their file says. Transparent ones come after
    them, sorted by distance, and from their front only where they have one side.

    Args:
        model: the model to draw.
        height: picture height in pixels.
        width: picture width in pixels, the height if None.

    Raises:
        BackendUnavailable: moderngl is not installed or no EGL device opens.
    """

    _context: Any = None
    _shared_program: Any = None

    def __init__(self, model: AnimatedModel, height: int = 128, width: int | None = None) -> None:
        self.model = model
        self.height, self.width = height, width or height
        context = self._shared_context()
        self._program = MeshRenderer._shared_program
        size = (2 * self.width, 2 * self.height)
        self._color = context.texture(size, 4)
        self._depth = context.depth_renderbuffer(size)
        self._target = context.framebuffer([self._color], self._depth)
        self._textures: dict[tuple[object, ...], Any] = {}
        self._parts = [self._upload(primitive) for primitive in model.primitives]

    @classmethod
    def _shared_context(cls) -> Any:
        if MeshRenderer._context is None:
            try:
                import moderngl
            except ImportError as error:
                raise BackendUnavailable(
                    "rendering 3D models needs moderngl: pip install 'diffusion2[models]'"
                ) from error
            try:
                options: Any = {"backend": "egl"}
                context = moderngl.create_context(standalone=True, **options)
            except Exception as error:
                raise BackendUnavailable(
                    f"no off-screen OpenGL ({error}): install Mesa's EGL (Debian: libegl1 libgl1-mesa-dri)"
                ) from error
            MeshRenderer._shared_program = context.program(
                vertex_shader=VERTEX_SHADER, fragment_shader=FRAGMENT_SHADER
            )
            MeshRenderer._context = context
        return MeshRenderer._context

    def _upload(self, primitive: Primitive) -> _Part:
        context = self._context
        count = len(primitive.positions)
        alphas = np.ones(count) if primitive.alphas is None else primitive.alphas
        moving = context.buffer(reserve=count * 24, dynamic=True)
        fixed = context.buffer(
            np.hstack([primitive.colors, alphas[:, None], primitive.uvs]).astype("f4").tobytes()
        )
        index = context.buffer(primitive.triangles.astype("i4").tobytes())
        array = context.vertex_array(
            self._program, [(moving, "3f 3f", "position", "normal"), (fixed, "4f 2f", "color", "uv")], index
        )
        texture = None if primitive.texture is None else self._texture(primitive.texture, primitive.material)
        return _Part(
            primitive.material, primitive.triangles, primitive.flat, moving, fixed, index, array, texture
        )

    def _texture(self, pixels: np.ndarray, material: Material) -> Any:
        key = (id(pixels), material.wrap, material.nearest)
        if key not in self._textures:
            context = self._context
            most = context.info["GL_MAX_TEXTURE_SIZE"]
            height, width = pixels.shape[:2]
            if max(height, width) > most:
                height, width = min(height, most), min(width, most)
                pixels = np.asarray(Image.fromarray(pixels).resize((width, height)))
            texture = context.texture(
                (width, height), pixels.shape[2], np.ascontiguousarray(pixels).tobytes(), alignment=1
            )
            texture.build_mipmaps()
            texture.repeat_x, texture.repeat_y = (mode == "repeat" for mode in material.wrap)
            if material.nearest:
                texture.filter = (texture.filter[0], context.NEAREST)
            self._textures[key] = texture
        return self._textures[key]

    def render(
        self,
        cameras: Cameras,
        framing: Framing,
        clip: str | None = None,
        seconds: float = 0.0,
        lighting: Lighting | None = None,
        recolor: np.ndarray | None = None,
    ) -> np.ndarray:
        """Draw one pose from V cameras.

        Args:
            cameras: where to look from; its picture size must be this renderer's.
            framing: where the model stands in the world.
            clip: animation, None for the rest pose.
            seconds: time in the animation.
            lighting: the light; a soft one from the right of azimuth 0 if None.
            recolor: (primitives, 3, 3) matrix per primitive on its sRGB colour; None leaves it.

        Returns:
            (V, H, W, 4) uint8, straight alpha, black where nothing is.
        """
        lighting = lighting or Lighting()
        posed = self.model.posed(clip, seconds)
        places = [framing.apply(part.positions) for part in posed]
        for part, place, pose in zip(self._parts, places, posed, strict=True):
            part.moving.write(np.hstack([place, pose.normals]).astype("f4").tobytes())
        self._program["light"].value = lighting.direction
        self._program["ambient"].value = lighting.ambient
        recolor = np.tile(np.eye(3), (len(posed), 1, 1)) if recolor is None else recolor
        self._context.enable(self._context.DEPTH_TEST)
        self._target.use()
        pictures = []
        for viewmat, K in zip(cameras.viewmats, cameras.Ks, strict=True):
            clip_from_world = self._projection(K) @ viewmat
            self._program["clip_from_world"].write(clip_from_world.T.astype("f4").tobytes())
            self._target.clear(0.0, 0.0, 0.0, 0.0)
            blended = []
            for i, part in enumerate(self._parts):
                if part.material.alpha_mode == "BLEND":
                    blended.append(i)
                else:
                    self._draw(part, posed[i], recolor[i])
            self._draw_blended(blended, posed, places, recolor, viewmat)
            pictures.append(self._read())
        return np.stack(pictures)

    def _draw(self, part: _Part, posed: PosedPrimitive, recolor: np.ndarray) -> None:
        program, material = self._program, part.material
        program["recolor"].write(recolor.T.astype("f4").tobytes())
        program["textured"].value = part.texture is not None
        program["mirror"].value = tuple(float(mode == "mirror") for mode in material.wrap)
        program["flat_faces"].value = part.flat
        program["inside_out"].value = posed.mirrored
        program["unlit"].value = material.unlit
        program["cutoff"].value = material.alpha_cutoff if material.alpha_mode == "MASK" else -1.0
        program["blended"].value = material.alpha_mode == "BLEND"
        if part.texture is not None:
            part.texture.use(0)
        part.array.render()

    def _draw_blended(
        self,
        chosen: list[int],
        posed: list[PosedPrimitive],
        places: list[np.ndarray],
        recolor: np.ndarray,
        viewmat: np.ndarray,
    ) -> None:
        """Draw transparent parts over the opaque ones, the farthest part and triangle first."""
        if not chosen:
            return
        context = self._context
        distances = {i: (places[i] @ viewmat[2, :3])[self._parts[i].triangles].mean(1) for i in chosen}
        context.enable(context.BLEND)
        context.blend_func = (
            *(context.SRC_ALPHA, context.ONE_MINUS_SRC_ALPHA),
            *(context.ONE, context.ONE_MINUS_SRC_ALPHA),
        )
        self._target.depth_mask = False
        for i in sorted(chosen, key=lambda i: -distances[i].mean()):
            part = self._parts[i]
            part.index.write(part.triangles[np.argsort(-distances[i])].astype("i4").tobytes())
            if not part.material.double_sided:
                context.enable(context.CULL_FACE)
                context.front_face = "cw" if posed[i].mirrored else "ccw"
            self._draw(part, posed[i], recolor[i])
            context.disable(context.CULL_FACE)
        self._target.depth_mask = True
        context.disable(context.BLEND)

    def _projection(self, K: np.ndarray) -> np.ndarray:
        depth, offset = (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
        return np.array(
            [
                [2 * K[0, 0] / self.width, 0, 2 * K[0, 2] / self.width - 1, 0],
                [0, -2 * K[1, 1] / self.height, 1 - 2 * K[1, 2] / self.height, 0],
                [0, 0, depth, offset],
                [0, 0, 1, 0],
            ]
        )

    def _read(self) -> np.ndarray:
        raw = np.frombuffer(self._target.read(components=4), np.uint8)
        samples = raw.reshape(2 * self.height, 2 * self.width, 4)[::-1].astype(np.uint16)
        summed = samples[0::2, 0::2] + samples[0::2, 1::2] + samples[1::2, 0::2] + samples[1::2, 1::2]
        summed = summed.astype(np.uint32)
        # Samples hold colour times alpha; a picture holds the colour of what covers it: straight alpha.
        opacity = np.maximum(summed[..., 3:], 1)
        rgb = np.minimum((255 * summed[..., :3] + opacity // 2) // opacity, 255)
        return np.concatenate([rgb, (summed[..., 3:] + 2) // 4], -1).astype(np.uint8)

    def close(self) -> None:
        """Free the GPU buffers of this model."""
        for part in self._parts:
            part.release()
        for resource in (*self._textures.values(), self._target, self._color, self._depth):
            resource.release()
