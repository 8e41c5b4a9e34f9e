"""Networks go on from the weights of other latents."""

import torch

from diffusion2.priors.codec import LatentCodec
from diffusion2.priors.patch_autoencoder import PatchAutoencoder
from diffusion2.priors.unet import SpatioTemporalUNet
from diffusion2.training.adaptation import LatentMaps, adapt_decoder, adapt_network, copy_fitting, latent_maps

from ..tiny_networks import UNET, VAE

OLD, NEW, AREAS = 4, 6, 16
CONFIG = {**UNET, "cross_attention_dim": OLD * AREAS, "projection_class_embeddings_input_dim": 48}


def old_network() -> SpatioTemporalUNet:
    torch.manual_seed(0)
    network = SpatioTemporalUNet(**{**CONFIG, "in_channels": 2 * OLD + 8})
    for name, tensor in network.state_dict().items():  # what starts as zero would hide mistakes
        tensor.add_(0.02 * torch.randn(tensor.shape) if name.endswith("weight") else 0.0)
    return network


def new_config(more: int = 0, **changes: object) -> dict[str, object]:
    channels = {"in_channels": 2 * NEW + more, "out_channels": NEW, "cross_attention_dim": NEW * AREAS}
    return {**CONFIG, **channels, **changes}


def autoencoders() -> tuple[PatchAutoencoder, PatchAutoencoder]:
    """Of four components of RGB, and of six with alpha, four of which are the same."""
    torch.manual_seed(0)
    old = PatchAutoencoder(**VAE)
    old.set_components(torch.randn(OLD, 3, 4, 4) / 7)
    new = PatchAutoencoder(**{**VAE, "in_channels": 16, "out_channels": 16, "latent_channels": NEW})
    same = torch.cat([old.components, torch.zeros(OLD, 1, 4, 4)], 1)
    new.set_components(torch.cat([torch.randn(NEW - OLD, 4, 4, 4) / 7, same]))
    return old, new


def test_an_adapted_network_makes_of_new_latents_what_the_old_one_makes_of_the_old_ones() -> None:
    old = old_network().eval()
    # the old latents are two of the sums that the new ones hold, and the way back is exact
    maps = LatentMaps(torch.eye(OLD, NEW).roll(1, 0), torch.eye(NEW, OLD).roll(1, 1))
    new = adapt_network(old, new_config(more=5), maps).eval()
    noisy, picture = torch.randn(2, 3, NEW, 8, 8), torch.randn(2, 3, NEW, 8, 8)
    shown = torch.randn(2, 3, 5, 8, 8)  # starts without effect

    def in_old(latents: torch.Tensor) -> torch.Tensor:
        return torch.einsum("ntchw,dc->ntdhw", latents, maps.to_old)

    c_noise, vector = torch.tensor([0.1, 0.5]), torch.randn(2, 3, 48)
    context = torch.randn(2, 1, NEW, AREAS)
    old_context = torch.einsum("nocp,dc->nodp", context, maps.to_old).flatten(2)
    nothing = torch.zeros(2, 3, 8, 8, 8)
    with torch.no_grad():
        made = new(torch.cat([noisy, picture, shown], 2), c_noise, context.flatten(2), vector)
        sample = torch.cat([in_old(noisy), in_old(picture), nothing], 2)
        expected = old(sample, c_noise, old_context, vector)
    assert expected.abs().max() > 0.01
    # float32 rounding
    assert torch.allclose(in_old(made), expected, atol=1e-5)
    assert not made[:, :, OLD:].any()


def test_everything_but_what_touches_latents_is_copied() -> None:
    old = old_network()
    new = adapt_network(old, new_config(), LatentMaps(torch.randn(OLD, NEW), torch.randn(NEW, OLD)))
    before, after = old.state_dict(), new.state_dict()
    assert all(".attn2." in name or ".norm2." in name for name in before.keys() - after.keys())
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in changed} == {
        "conv_in",
        "conv_out",
        "down_blocks",
        "up_blocks",
        "mid_block",
    }
    inner = {name for name in changed if not name.startswith("conv_")}
    assert all(".attn2.to_" in name for name in inner)
    assert all(parameter.requires_grad for parameter in new.parameters())


def test_wider_levels_start_anew_and_the_others_go_on() -> None:
    old = old_network()
    new = adapt_network(
        old, new_config(block_out_channels=(32, 96)), LatentMaps(torch.eye(OLD, NEW), torch.eye(NEW, OLD))
    )
    first = "down_blocks.0.resnets.0.spatial_res_block.conv1.weight"
    assert torch.equal(new.state_dict()[first], old.state_dict()[first])
    assert new.state_dict()["mid_block.resnets.0.spatial_res_block.conv1.weight"].shape[0] == 96
    assert copy_fitting(new, old.state_dict()) < len(old.state_dict())


def test_maps_are_exact_where_one_autoencoder_knows_what_the_other_does() -> None:
    old, new = autoencoders()
    patches = torch.randn(4 * 16, 4000, dtype=torch.float64)
    maps = latent_maps(old, new, patches @ patches.T / 4000)
    pictures = torch.rand(5, 4, 16, 16)
    of_old = LatentCodec(old, 2).encode_mode(pictures[:, :3])
    of_new = LatentCodec(new, 2).encode_mode(pictures)
    guessed = torch.einsum("nchw,dc->ndhw", of_new, maps.to_old)
    assert torch.allclose(guessed, of_old, atol=1e-4 * float(of_old.abs().max()))
    # what the old ones don't know can't be guessed from them, the four that they know can
    back = torch.einsum("nchw,dc->ndhw", of_old, maps.to_new)
    assert torch.allclose(back[:, NEW - OLD :], of_new[:, NEW - OLD :], atol=1e-3 * float(of_new.abs().max()))


def test_an_adapted_decoder_shows_the_colours_that_the_old_one_shows() -> None:
    old, new = autoencoders()
    patches = torch.randn(4 * 16, 4000, dtype=torch.float64)
    adapt_decoder(old, new, latent_maps(old, new, patches @ patches.T / 4000))
    pictures = torch.rand(2, 4, 16, 16)
    codecs = LatentCodec(old, 2), LatentCodec(new, 2)
    expected = codecs[0].decode(codecs[0].encode_scaled(pictures[:, :3]))
    made = codecs[1].decode(codecs[1].encode_scaled(pictures))
    assert made.shape == (2, 4, 16, 16)
    assert torch.allclose(made[:, :3], expected, atol=1e-4)
    assert torch.allclose(made[:, 3], torch.tensor(0.5), atol=1e-6)
