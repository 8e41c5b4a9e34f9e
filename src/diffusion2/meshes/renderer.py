"""Off-screen rendering of posed models through OpenGL (moderngl on EGL, software or GPU)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from diffusion2.cameras import Cameras
from diffusion2.errors import BackendUnavailable, in_one_line
from diffusion2.meshes.framing import Framing
from diffusion2.meshes.lighting import Lighting
from diffusion2.meshes.materials import Material
from diffusion2.meshes.model import AnimatedModel, PosedPrimitive, Primitive
from diffusion2.meshes.shaders import FRAGMENT_SHADER, GLOWING, VERSION, VERTEX_SHADER
from diffusion2.meshes.textures import Texture

NEAR, FAR = 0.05, 20.0


@dataclass(frozen=True)
class _Part:
    """One primitive on the GPU; its textures as they are there, and what they do beyond their edges.

    The first triangles are seen from both sides, the rest from their front only.
    """

    material: Material
    triangles: np.ndarray
    both_sides: int
    flat: bool
    moving: Any
    fixed: Any
    index: Any
    array: Any
    texture: Any
    mirror: tuple[float, float]
    emission: tuple[float, ...] | None
    emission_texture: Any
    emission_mirror: tuple[float, float]

    def release(self) -> None:
        for resource in (self.array, self.moving, self.fixed, self.index):
            resource.release()


class MeshRenderer:
    """Renders one model at a time, any pose, any cameras; 2x supersampled.

    Opaque surfaces are seen from both sides but for those that hide what is behind their back, see
    `sides`. Transparent ones come after them, sorted by distance, and from their front only where
    they have one side.

    Args:
        model: the model to draw; another one of the same primitives may take its place later.
        height: picture height in pixels.
        width: picture width in pixels, the height if None.

    Raises:
        BackendUnavailable: moderngl is not installed or no EGL device opens.
    """

    _context: Any = None
    _programs: ClassVar[dict[bool, Any]] = {}
    """By whether what they draw glows."""

    def __init__(self, model: AnimatedModel, height: int = 128, width: int | None = None) -> None:
        self.model = model
        self.height, self.width = height, width or height
        context = self._shared_context()
        size = (2 * self.width, 2 * self.height)
        self._color = context.texture(size, 4)
        self._depth = context.depth_renderbuffer(size)
        self._target = context.framebuffer([self._color], self._depth)
        self._distances = context.depth_texture((self.width, self.height))
        self._distance_target = context.framebuffer(depth_attachment=self._distances)
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
                    f"no off-screen OpenGL ({in_one_line(error)}): install Mesa's EGL "
                    "(Debian: libegl1 libgl1-mesa-dri)"
                ) from error
            for glows, defined in ((False, VERSION), (True, VERSION + GLOWING)):
                MeshRenderer._programs[glows] = context.program(
                    vertex_shader=defined + VERTEX_SHADER, fragment_shader=defined + FRAGMENT_SHADER
                )
            MeshRenderer._context = context
        return MeshRenderer._context

    def _upload(self, primitive: Primitive) -> _Part:
        context = self._context
        count = len(primitive.positions)
        alphas = np.ones(count) if primitive.alphas is None else primitive.alphas
        columns, names, kinds = [primitive.colors, alphas[:, None], primitive.uvs], ["color", "uv"], "4f 2f"
        if primitive.emission_uvs is not None:
            columns, names, kinds = [*columns, primitive.emission_uvs], [*names, "emission_uv"], "4f 2f 2f"
        moving = context.buffer(reserve=count * 24, dynamic=True)
        fixed = context.buffer(np.hstack(columns).astype("f4").tobytes())
        triangles, both_sides = primitive.triangles, len(primitive.triangles)
        if primitive.material.alpha_mode == "BLEND":
            both_sides = both_sides if primitive.material.double_sided else 0
        elif primitive.front_only is not None:
            triangles = triangles[np.argsort(primitive.front_only, kind="stable")]
            both_sides -= int(primitive.front_only.sum())
        index = context.buffer(triangles.astype("i4").tobytes())
        array = context.vertex_array(
            self._programs[primitive.emission is not None],
            [(moving, "3f 3f", "position", "normal"), (fixed, kinds, *names)],
            index,
        )
        return _Part(
            *(primitive.material, triangles, both_sides, primitive.flat),
            *(moving, fixed, index, array),
            *self._texture(primitive.texture),
            None if primitive.emission is None else tuple(map(float, primitive.emission)),
            *self._texture(primitive.emission_texture),
        )

    def _texture(self, texture: Texture | None) -> tuple[Any, tuple[float, float]]:
        """Bring a texture to the GPU, once; and tell along which of u and v it is mirrored."""
        if texture is None:
            return None, (0.0, 0.0)
        pixels, key = texture.pixels, (id(texture.pixels), texture.wrap, texture.nearest)
        if key not in self._textures:
            context = self._context
            most = context.info["GL_MAX_TEXTURE_SIZE"]
            height, width = pixels.shape[:2]
            if max(height, width) > most:
                height, width = min(height, most), min(width, most)
                pixels = np.asarray(Image.fromarray(pixels).resize((width, height)))
            made = context.texture(
                (width, height), pixels.shape[2], np.ascontiguousarray(pixels).tobytes(), alignment=1
            )
            made.build_mipmaps()
            made.repeat_x, made.repeat_y = (mode == "repeat" for mode in texture.wrap)
            if texture.nearest:
                made.filter = (made.filter[0], context.NEAREST)
            self._textures[key] = made
        mirror_u, mirror_v = (float(mode == "mirror") for mode in texture.wrap)
        return self._textures[key], (mirror_u, mirror_v)

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
        posed, places = self._place(framing, clip, seconds)
        programs = [self._programs[glows] for glows in {part.emission is not None for part in self._parts}]
        for program in programs:
            program["light"].value, program["ambient"].value = lighting.direction, lighting.ambient
        recolor = np.tile(np.eye(3), (len(posed), 1, 1)) if recolor is None else recolor
        self._context.enable(self._context.DEPTH_TEST)
        self._target.use()
        pictures = []
        for viewmat, K in zip(cameras.viewmats, cameras.Ks, strict=True):
            clip_from_world = self._projection(K) @ viewmat
            for program in programs:
                program["clip_from_world"].write(clip_from_world.T.astype("f4").tobytes())
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

    def depths(
        self, cameras: Cameras, framing: Framing, clip: str | None = None, seconds: float = 0.0
    ) -> np.ndarray:
        """Measure where the ray through each pixel's middle first meets the model, and where it last does.

        Transparent parts count where they are rather opaque.

        Args:
            cameras: as for `render`, and so all others.
            framing: see there.
            clip: see there.
            seconds: see there.

        Returns:
            (V, 2, H, W) float32 depths along the cameras' axes in world units, front then back; NaN where the
            ray meets nothing.
        """
        posed, _ = self._place(framing, clip, seconds)
        context = self._context
        context.enable(context.DEPTH_TEST)
        self._distance_target.use()
        found = np.empty((len(cameras), 2, self.height, self.width), np.float32)
        for view, (viewmat, K) in enumerate(zip(cameras.viewmats, cameras.Ks, strict=True)):
            clip_from_world = self._projection(K) @ viewmat
            for program in self._programs.values():
                program["clip_from_world"].write(clip_from_world.T.astype("f4").tobytes())
            for side, (nearer, beyond) in enumerate((("<", 1.0), (">", 0.0))):
                context.depth_func = nearer
                self._distance_target.clear(depth=beyond)
                for part, pose in zip(self._parts, posed, strict=True):
                    self._draw(part, pose, np.eye(3), cutoff=0.5)
                raw = np.frombuffer(self._distances.read(), np.float32).reshape(self.height, self.width)
                depth = 2 * FAR * NEAR / (FAR + NEAR - (2 * raw - 1) * (FAR - NEAR))
                found[view, side] = np.where(raw == beyond, np.nan, depth)[::-1]
        context.depth_func = "<"
        return found

    def _place(
        self, framing: Framing, clip: str | None, seconds: float
    ) -> tuple[list[PosedPrimitive], list[np.ndarray]]:
        """Pose the model and bring it to the GPU; give its primitives, and where they are in the world."""
        posed = self.model.posed(clip, seconds)
        places = [framing.apply(part.positions) for part in posed]
        for part, place, pose in zip(self._parts, places, posed, strict=True):
            part.moving.write(np.hstack([place, pose.normals]).astype("f4").tobytes())
        return posed, places

    def _draw(
        self, part: _Part, posed: PosedPrimitive, recolor: np.ndarray, cutoff: float | None = None
    ) -> None:
        """Draw a part; `cutoff`, if given, is the least alpha that a transparent one is drawn with."""
        context, material = self._context, part.material
        program = self._programs[part.emission is not None]
        program["recolor"].write(recolor.T.astype("f4").tobytes())
        program["textured"].value = part.texture is not None
        program["mirror"].value = part.mirror
        program["flat_faces"].value = part.flat
        program["unlit"].value = material.unlit
        if material.alpha_mode != "BLEND" or cutoff is None:
            cutoff = material.alpha_cutoff if material.alpha_mode == "MASK" else -1.0
        program["cutoff"].value = cutoff
        program["blended"].value = material.alpha_mode == "BLEND"
        if part.texture is not None:
            part.texture.use(0)
        if part.emission is not None:
            program["emission"].value, program["emission_mirror"].value = part.emission, part.emission_mirror
            program["emission_textured"].value, program["emitted"].value = (
                part.emission_texture is not None,
                1,
            )
        if part.emission_texture is not None:
            part.emission_texture.use(1)
        context.front_face = "cw" if posed.mirrored else "ccw"
        if part.both_sides:
            part.array.render(vertices=3 * part.both_sides)
        if part.both_sides < len(part.triangles):
            context.enable(context.CULL_FACE)
            part.array.render(first=3 * part.both_sides, vertices=3 * (len(part.triangles) - part.both_sides))
            context.disable(context.CULL_FACE)

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
            self._draw(part, posed[i], recolor[i])
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
        own = (self._target, self._color, self._depth, self._distance_target, self._distances)
        for resource in (*self._textures.values(), *own):
            resource.release()
