"""C3D (Tran et al. 2015, arXiv 1412.0767) up to fc6, and VGGish (Hershey et al. 2017, arXiv 1609.09430).

The names of the layers are those in the published files: `c3d.pickle` of DavideA/c3d-pytorch, and `vggish-10086976.pth`
of harritaylor/torchvggish.
"""

import torch
from torch import Tensor, nn

C3D_WIDTH, VGGISH_WIDTH = 4096, 128
C3D_UNUSED = ("fc7.", "fc8.")  # the layers after fc6
VGGISH_UNUSED = ("pproc.",)  # the PCA that YouTube-8M applies afterwards
_C3D_CHANNELS = {
    "conv1": (3, 64),
    "conv2": (64, 128),
    "conv3a": (128, 256),
    "conv3b": (256, 256),
    "conv4a": (256, 512),
    "conv4b": (512, 512),
    "conv5a": (512, 512),
    "conv5b": (512, 512),
}
_POOLED_AFTER = {"conv1", "conv2", "conv3b", "conv4b", "conv5b"}
_VGGISH_CHANNELS = (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool")


class C3d(nn.Module):
    """Pictures (N, 3, 16, 112, 112) in 0..255 -> fc6 after its ReLU (N, 4096)."""

    def __init__(self) -> None:
        super().__init__()
        for name, (before, after) in _C3D_CHANNELS.items():
            self.add_module(name, nn.Conv3d(before, after, kernel_size=3, padding=1))
        self.fc6 = nn.Linear(8192, C3D_WIDTH)

    def forward(self, pictures: Tensor) -> Tensor:
        """Compute the vectors."""
        hidden = pictures
        for name in _C3D_CHANNELS:
            hidden = torch.relu(self.get_submodule(name)(hidden))
            if name in _POOLED_AFTER:
                # The first pooling keeps the time, and the last one fills the edges, so that 4 x 4 pixels are left.
                size = (1, 2, 2) if name == "conv1" else (2, 2, 2)
                padding = (0, 1, 1) if name == "conv5b" else (0, 0, 0)
                hidden = nn.functional.max_pool3d(hidden, size, size, padding)
        return torch.relu(self.fc6(hidden.flatten(1)))


class Vggish(nn.Module):
    """Log mel spectrograms (N, 1, 96, 64) -> (N, 128) after the last ReLU."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for after in _VGGISH_CHANNELS:
            if isinstance(after, str):
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(before, after, kernel_size=3, padding=1), nn.ReLU()]
                before = after
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 4 * 6, 4096),
            nn.ReLU(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, VGGISH_WIDTH),
            nn.ReLU(),
        )

    def forward(self, log_mel: Tensor) -> Tensor:
        """Compute the vectors."""
        hidden = self.features(log_mel).permute(0, 2, 3, 1)  # the order of TensorFlow: time, frequency, channel
        vectors: Tensor = self.embeddings(hidden.flatten(1))
        return vectors
