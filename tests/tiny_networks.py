"""Settings of the smallest networks: two levels, one of them with attention."""

UNET = {
    "in_channels": 8,
    "out_channels": 4,
    "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
    "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "cross_attention_dim": 64,
    "addition_time_embed_dim": 16,
    "num_attention_heads": 2,
}
"""What is missing, `projection_class_embeddings_input_dim`, depends on how many numbers a prior is told."""

VAE = {
    "in_channels": 12,
    "out_channels": 12,
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "block_out_channels": (8, 8),
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 4,
    "scaling_factor": 0.5,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}
