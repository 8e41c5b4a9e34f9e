"""Off-screen rendering of posed models through OpenGL (moderngl on EGL, software or GPU)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from diffusion2.cameras import Cameras
from diffusion2.errors import BackendUnavailable
from diffusion2.meshes.framing import Framing
from diffusion2.meshes.gltf import AnimatedModel

NEAR, FAR = 0.05, 20.0
VERTEX_SHADER = """
#version 330
uniform mat4 clip_from_world;
in vec3 position; in vec3 normal; in vec3 color; in vec2 uv;
out vec3 v_normal; out vec3 v_color; out vec2 v_uv;
void main() {
    gl_Position = clip_from_world * vec4(position, 1.0);
    v_normal = normal; v_color = color; v_uv = uv;
}
"""
FRAGMENT_SHADER = """
#version 330
uniform vec3 light; uniform float ambient; uniform mat3 recolor;
uniform bool textured; uniform sampler2D base;
in vec3 v_normal; in vec3 v_color; in vec2 v_uv;
out vec4 pixel;
void main() {
    vec3 n = normalize(v_normal) * (gl_FrontFacing ? 1.0 : -1.0);
    vec3 albedo = pow(v_color, vec3(1.0 / 2.2));
    if (textured) albedo *= texture(base, v_uv).rgb;
    albedo = clamp(recolor * albedo, 0.0, 1.0);
    float sky = 0.5 + 0.5 * n.z;
    float shade = ambient * mix(0.75, 1.0, sky) + (1.0 - ambient) * max(dot(n, light), 0.0);
    pixel = vec4(albedo * min(shade, 1.0), 1.0);
}
"""


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


class MeshRenderer:
    """Renders one model at a time, any pose, any cameras; 2x supersampled.

    Args:
        model: the model to draw.
        height: picture height in pixels.
        width: picture width in pixels, the height if None.

    Raises:
        BackendUnavailable: moderngl is not installed or no EGL device opens.
    """

    _context: Any = None

    def __init__(self, model: AnimatedModel, height: int = 128, width: int | None = None) -> None:
        self.model = model
        self.height, self.width = height, width or height
        context = self._shared_context()
        self._program = context.program(vertex_shader=VERTEX_SHADER, fragment_shader=FRAGMENT_SHADER)
        size = (2 * self.width, 2 * self.height)
        self._color = context.texture(size, 4)
        self._depth = context.depth_renderbuffer(size)
        self._target = context.framebuffer([self._color], self._depth)
        self._parts = [self._upload(primitive) for primitive in model.primitives]

    @classmethod
    def _shared_context(cls) -> Any:
        if MeshRenderer._context is None:
            try:
                import moderngl
            except ImportError as error:
                raise BackendUnavailable(
                    "rendering 3D models needs moderngl: pip install 'diffusion2[train]'"
                ) from error
            try:
                options: Any = {"backend": "egl"}
                MeshRenderer._context = moderngl.create_context(standalone=True, **options)
            except Exception as error:
                raise BackendUnavailable(
                    f"no off-screen OpenGL ({error}): install Mesa's EGL (Debian: libegl1 libgl1-mesa-dri)"
                ) from error
        return MeshRenderer._context

    def _upload(self, primitive: Any) -> tuple[Any, Any, Any]:
        context = self._context
        count = len(primitive.positions)
        moving = context.buffer(reserve=count * 24, dynamic=True)
        fixed = context.buffer(np.hstack([primitive.colors, primitive.uvs]).astype("f4").tobytes())
        index = context.buffer(primitive.triangles.astype("i4").tobytes())
        array = context.vertex_array(
            self._program, [(moving, "3f 3f", "position", "normal"), (fixed, "3f 2f", "color", "uv")], index
        )
        texture = None
        if primitive.texture is not None:
            height, width = primitive.texture.shape[:2]
            texture = context.texture((width, height), 3, np.ascontiguousarray(primitive.texture).tobytes())
            texture.build_mipmaps()
        return moving, array, texture

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
            lighting: the light; a soft one from the front left if None.
            recolor: (primitives, 3, 3) matrix per primitive on its sRGB colour; None leaves it.

        Returns:
            (V, H, W, 4) uint8, straight alpha, black where nothing is.
        """
        lighting = lighting or Lighting()
        for (moving, _, _), (positions, normals) in zip(
            self._parts, self.model.pose(clip, seconds), strict=True
        ):
            moving.write(np.hstack([framing.apply(positions), normals]).astype("f4").tobytes())
        self._program["light"].value = lighting.direction
        self._program["ambient"].value = lighting.ambient
        context = self._context
        context.enable(context.DEPTH_TEST)
        self._target.use()
        pictures = []
        for viewmat, K in zip(cameras.viewmats, cameras.Ks, strict=True):
            clip_from_world = self._projection(K) @ viewmat
            self._program["clip_from_world"].write(clip_from_world.T.astype("f4").tobytes())
            self._target.clear(0.0, 0.0, 0.0, 0.0)
            for i, (_, array, texture) in enumerate(self._parts):
                matrix = np.eye(3) if recolor is None else recolor[i]
                self._program["recolor"].write(matrix.T.astype("f4").tobytes())
                self._program["textured"].value = texture is not None
                if texture is not None:
                    texture.use(0)
                array.render()
            pictures.append(self._read())
        return np.stack(pictures)

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
        # Colours are averaged over the covered samples only: straight alpha.
        covered = np.maximum(summed[..., 3:] // 255, 1)
        rgb = (summed[..., :3] + covered // 2) // covered
        return np.concatenate([rgb, (summed[..., 3:] + 2) // 4], -1).astype(np.uint8)

    def close(self) -> None:
        """Free the GPU buffers of this model."""
        for moving, array, texture in self._parts:
            for resource in (moving, array, texture):
                if resource is not None:
                    resource.release()
        for resource in (self._target, self._color, self._depth, self._program):
            resource.release()


def on_white(rgba: np.ndarray) -> np.ndarray:
    """Composite (..., 4) uint8 straight-alpha pictures on white, giving (..., 3) uint8."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
