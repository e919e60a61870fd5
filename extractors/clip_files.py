"""The files of a CLIP model on the hub: fetched once, then taken from the cache."""

from pathlib import Path

from extractors.errors import TextEncoderError
from extractors.files.download import is_offline

CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"
_REMEDY = f"save its {CONFIG}, {TOKENIZER} and {WEIGHTS} in a folder and give clip:FOLDER"


def fetch_clip(name: str, cache_dir: Path | None) -> Path:
    """The folder that holds the files of a model; with AVZSL_OFFLINE=1 in the environment only the cache is looked in.

    Args:
        name: on the hub, such as openai/clip-vit-large-patch14.
        cache_dir: where models are kept; None: where huggingface_hub keeps them.

    Raises:
        TextEncoderError: no such model, none in these formats, or it cannot be fetched.
    """
    from huggingface_hub import errors, hf_hub_download  # noqa: PLC0415 - takes half a second

    offline = is_offline()
    try:
        # The weights last: of a model without them nothing large is fetched.
        paths = [
            hf_hub_download(name, file, cache_dir=cache_dir, local_files_only=offline)
            for file in (CONFIG, TOKENIZER, WEIGHTS)
        ]
    except errors.LocalEntryNotFoundError as error:
        reason = "AVZSL_OFFLINE is set" if offline else "the hub cannot be reached"
        raise TextEncoderError(f"the CLIP model {name} is not in the cache and {reason}: {_REMEDY}") from error
    except errors.EntryNotFoundError as error:
        raise TextEncoderError(
            f"{name} does not hold {CONFIG}, {TOKENIZER} and {WEIGHTS}, which alone are read (a pickle can run code): "
            "take a model that does, such as openai/clip-vit-large-patch14"
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise TextEncoderError(f"{name!r} is no model on the hub (or not a public one): {_REMEDY}") from error
    except (errors.HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise TextEncoderError(f"cannot fetch the CLIP model {name} ({reason}): {_REMEDY}") from error
    return Path(paths[0]).parent
