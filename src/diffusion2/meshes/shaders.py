"""The shaders of the mesh renderer: a soft sky, one directional light, base colours, own light.

What glows has a program of its own, as light of its own is rare and costs a quarter more time.
"""

GLOWING = "#define GLOWING\n"
VERSION = "#version 330\n"
VERTEX_SHADER = """
uniform mat4 clip_from_world;
in vec3 position; in vec3 normal; in vec4 color; in vec2 uv;
out vec3 v_position; out vec3 v_normal; out vec4 v_color; out vec2 v_uv;
#ifdef GLOWING
in vec2 emission_uv; out vec2 v_emission_uv;
#endif
void main() {
    gl_Position = clip_from_world * vec4(position, 1.0);
    v_position = position; v_normal = normal; v_color = color; v_uv = uv;
#ifdef GLOWING
    v_emission_uv = emission_uv;
#endif
}
"""
FRAGMENT_SHADER = """
uniform vec3 light; uniform float ambient; uniform mat3 recolor;
uniform bool textured; uniform sampler2D base; uniform vec2 mirror;
uniform bool flat_faces; uniform bool unlit;
uniform float cutoff; uniform bool blended;
in vec3 v_position; in vec3 v_normal; in vec4 v_color; in vec2 v_uv;
#ifdef GLOWING
uniform vec3 emission; uniform bool emission_textured;
uniform sampler2D emitted; uniform vec2 emission_mirror;
in vec2 v_emission_uv;
#endif
out vec4 pixel;
vec2 mirrored(vec2 uv, vec2 along) { return mix(uv, 1.0 - abs(mod(uv, 2.0) - 1.0), along); }
void main() {
    vec3 n = normalize(v_normal) * (gl_FrontFacing ? 1.0 : -1.0);
    if (flat_faces) {
        n = cross(dFdx(v_position), dFdy(v_position));  // faces the camera
        n /= max(length(n), 1e-20);
    }
    vec4 albedo = vec4(pow(v_color.rgb, vec3(1.0 / 2.2)), v_color.a);
    if (textured) albedo *= texture(base, mirrored(v_uv, mirror));
    if (albedo.a < cutoff) discard;
    albedo.rgb = clamp(recolor * albedo.rgb, 0.0, 1.0);
    float sky = 0.5 + 0.5 * n.z;
    float shade = ambient * mix(0.75, 1.0, sky) + (1.0 - ambient) * max(dot(n, light), 0.0);
    vec3 rgb = albedo.rgb * (unlit ? 1.0 : min(shade, 1.0));
#ifdef GLOWING
    vec3 glow = pow(emission, vec3(1.0 / 2.2));
    if (emission_textured) glow *= texture(emitted, mirrored(v_emission_uv, emission_mirror)).rgb;
    glow = max(recolor * glow, 0.0);
    // light adds up where colours are linear
    rgb = pow(min(pow(rgb, vec3(2.2)) + pow(glow, vec3(2.2)), 1.0), vec3(1.0 / 2.2));
#endif
    pixel = vec4(rgb, blended ? albedo.a : 1.0);
}
"""
