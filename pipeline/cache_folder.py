"""Where downloads are kept between workspaces."""

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """AVZSL_CACHE where it is set, else the user's cache folder."""
    given = os.environ.get("AVZSL_CACHE")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("avzsl", appauthor=False))
