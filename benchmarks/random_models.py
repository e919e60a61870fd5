"""Models of the published sizes with random weights, for benchmarks of speed: their weights do not change the work."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    ClapAudioModelWithProjection,
    ClapConfig,
    ClapFeatureExtractor,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPVisionModelWithProjection,
)


def save_clip_clap(folder: Path) -> Path:
    """Save the picture tower of CLIP ViT-B/32 and the sound tower of CLAP HTSAT, as large as the published ones."""
    torch.manual_seed(0)
    clip, clap = CLIPConfig(projection_dim=512), ClapConfig(projection_dim=512)
    clip.vision_config.projection_dim = 512
    clap.audio_config.projection_dim = 512
    pictures, sound = CLIPVisionModelWithProjection(clip.vision_config), ClapAudioModelWithProjection(clap.audio_config)
    scales = {"clip": "logit_scale", "clap": "logit_scale_a"}
    for name, config, network in (("clip", clip, pictures), ("clap", clap, sound)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        config.save_pretrained(folder / name)
        state = {key: value.contiguous() for key, value in network.state_dict().items()}
        save_file({**state, scales[name]: torch.tensor(4.6)}, folder / name / "model.safetensors")
    CLIPImageProcessor().save_pretrained(folder / "clip")
    ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder / "clap")
    return folder
