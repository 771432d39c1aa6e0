"""A recipe for tests: the tiny pipeline on a model directory, with adapters."""

from ml_collections import ConfigDict

from configs import quickstart
from configs.sections import section
from launch.source import SourceConfig
from ppt_jax.models.architecture import CHOICES, DecoderConfig
from tests.launch.test_pipeline import TINY

SMALL = DecoderConfig(vocab_size=1, adapter_rank=2, adapter_targets="query|down")


def get_config() -> ConfigDict:
    config = quickstart.get_config()
    for name, value in TINY.items():
        if not name.startswith("model."):
            config.update_from_flattened_dict({name: value})
    config.source = section(SourceConfig, dtype="float32")
    config.model = ConfigDict({name: getattr(SMALL, name) for name in CHOICES})
    config.train.lm_steps = 0
    return config
