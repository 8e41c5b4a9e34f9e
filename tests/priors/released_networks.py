"""SVD's autoencoder and OpenCLIP's image encoder as their release defines them, small, under its names.

Written from that definition and not from the code under test, so that agreement means something.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResBlock(nn.Module):
    """In space; where `in_time`, followed by a block in time that is mixed in by a learned factor."""

    def __init__(self, c_in: int, c_out: int, in_time: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(32, c_in, eps=1e-6), nn.GroupNorm(32, c_out, eps=1e-6)
        self.conv1, self.conv2 = nn.Conv2d(c_in, c_out, 3, padding=1), nn.Conv2d(c_out, c_out, 3, padding=1)
        if c_in != c_out:
            self.nin_shortcut = nn.Conv2d(c_in, c_out, 1)
        self.in_time = in_time
        if in_time:
            self.mix_factor = nn.Parameter(torch.randn(1))
            self.time_stack = nn.Module()
            for name in ("in_layers", "out_layers"):
                layers = [nn.GroupNorm(32, c_out), nn.SiLU()]
                layers += [nn.Dropout(0.0)] if name == "out_layers" else []
                layers += [nn.Conv3d(c_out, c_out, (3, 1, 1), padding=(1, 0, 0))]
                setattr(self.time_stack, name, nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        x = (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + h
        if not self.in_time:
            return x
        video = x.transpose(0, 1)[None]  # one video of all images
        moved = video + self.time_stack.out_layers(self.time_stack.in_layers(video))
        alpha = torch.sigmoid(self.mix_factor)
        return (alpha * moved + (1 - alpha) * video)[0].transpose(0, 1)


class AttentionBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (conv(h).flatten(2).transpose(1, 2) for conv in (self.q, self.k, self.v))
        scores = torch.softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, dim=-1)
        return x + self.proj_out((scores @ v).transpose(1, 2).unflatten(2, x.shape[2:]))


def middle(channels: int, in_time: bool) -> nn.Module:
    mid = nn.Module()
    mid.block_1, mid.block_2 = ResBlock(channels, channels, in_time), ResBlock(channels, channels, in_time)
    mid.attn_1 = AttentionBlock(channels)
    return mid


class Encoder(nn.Module):
    def __init__(self, widths: tuple[int, ...], latent_channels: int, blocks: int = 2) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        for i, width in enumerate(widths):
            level = nn.Module()
            before = widths[max(0, i - 1)]
            level.block = nn.ModuleList(
                [ResBlock(before if j == 0 else width, width, False) for j in range(blocks)]
            )
            if i < len(widths) - 1:
                level.downsample = nn.Module()
                level.downsample.conv = nn.Conv2d(width, width, 3, stride=2)
            self.down.append(level)
        self.mid = middle(widths[-1], False)
        self.norm_out = nn.GroupNorm(32, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], 2 * latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            for block in level.block:
                x = block(x)
            if hasattr(level, "downsample"):
                x = level.downsample.conv(F.pad(x, (0, 1, 0, 1)))
        x = self.mid.block_2(self.mid.attn_1(self.mid.block_1(x)))
        return self.conv_out(F.silu(self.norm_out(x)))


class VideoDecoder(nn.Module):
    def __init__(self, widths: tuple[int, ...], latent_channels: int, blocks: int = 2) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(latent_channels, widths[-1], 3, padding=1)
        self.mid = middle(widths[-1], True)
        self.up = nn.ModuleList()
        for i, width in enumerate(widths):
            level = nn.Module()
            before = widths[min(len(widths) - 1, i + 1)]
            level.block = nn.ModuleList(
                [ResBlock(before if j == 0 else width, width, True) for j in range(blocks + 1)]
            )
            if i:
                level.upsample = nn.Module()
                level.upsample.conv = nn.Conv2d(width, width, 3, padding=1)
            self.up.append(level)
        self.norm_out = nn.GroupNorm(32, widths[0], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)
        self.conv_out.time_mix_conv = nn.Conv3d(3, 3, (3, 1, 1), padding=(1, 0, 0))

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid.block_2(self.mid.attn_1(self.mid.block_1(self.conv_in(z))))
        for level in reversed(self.up):
            for block in level.block:
                x = block(x)
            if hasattr(level, "upsample"):
                x = level.upsample.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        x = self.conv_out(F.silu(self.norm_out(x)))
        return self.conv_out.time_mix_conv(x.transpose(0, 1)[None])[0].transpose(0, 1)


class ConditionEncoder(nn.Module):
    """The conditioner's autoencoder, of which SVD uses the encoder."""

    def __init__(self, widths: tuple[int, ...], latent_channels: int) -> None:
        super().__init__()
        self.encoder = Encoder(widths, latent_channels)
        self.quant_conv = nn.Conv2d(2 * latent_channels, 2 * latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(latent_channels, latent_channels, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the mode of the latents' distribution."""
        return self.quant_conv(self.encoder(pixels)).chunk(2, dim=1)[0]


class Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Module()
        self.mlp.c_fc, self.mlp.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.ln_1(x)
        x = x + self.attn(h, h, h, need_weights=False)[0]
        return x + self.mlp.c_proj(F.gelu(self.mlp.c_fc(self.ln_2(x))))


class OpenClipVision(nn.Module):
    def __init__(self, width: int, heads: int, layers: int, patches: int, patch: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width))
        self.positional_embedding = nn.Parameter(torch.randn(patches**2 + 1, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList([Layer(width, heads) for _ in range(layers)])
        self.proj = nn.Parameter(torch.randn(width, out) / width**0.5)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.conv1(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1)
        x = self.ln_pre(x + self.positional_embedding)
        for layer in self.transformer.resblocks:
            x = layer(x)
        return self.ln_post(x[:, 0]) @ self.proj


def shake(network: nn.Module, seed: int) -> nn.Module:
    """Set every parameter to values of its own: fresh norms are all alike, and would hide a mistake."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return network.eval().requires_grad_(False)
