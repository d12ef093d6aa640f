"""minift beside the libraries that people use, in an environment made from requirements.txt here:

    python -m pytest -o addopts=-q tests/peers     the same numbers (from the repository's root)
    python -m tests.peers.bench                    how fast

The default run leaves this folder out by an `--ignore` in pyproject.toml, which `-o addopts=`
replaces. Nothing is downloaded: every peer model is made from a configuration and random weights.
"""

import logging
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
for name in ("torch.utils._pytree", "torchao"):  # importing peft says what it lacks for a GPU
    logging.getLogger(name).setLevel(logging.CRITICAL)
