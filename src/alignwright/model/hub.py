"""Does the Hub answer, or must what was fetched before do?

transformers asks the Hub for each file of a model five times, with pauses in between: without a
network that is more than a minute until the first word. So the Hub is asked once, with a short time
limit, before anything is opened.
"""

from __future__ import annotations

from alignwright.files.models import ModelError

SECONDS = 10.0


def hub_answers(name: str) -> bool:
    """Whether the Hub can be asked for a model; if not, it is in the Hub's cache. Raises ModelError
    where it is not there either."""
    from huggingface_hub import HfApi, constants, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        HfApi().model_info(name, timeout=SECONDS)
    except HfHubHTTPError:
        return True  # it answers: what is wrong is told in transformers' words
    except Exception as error:  # errors of the library that the Hub's client asks with
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return False
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"model {name!r} is not on this machine, and the Hub does not answer ({why}); name a model's folder, or try"
            " again with a network"
        ) from error
    return True
