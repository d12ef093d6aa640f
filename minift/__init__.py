"""minift: fine-tuning large models from scratch, in pure PyTorch, one readable file a method."""

import os
from pathlib import Path

# A waiting OpenMP thread spins by default; as soon as a second process runs on a small machine this
# slows a small training step 30 to 40 times. It must be set before torch is loaded, so nothing here
# imports torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ROOT = Path(__file__).resolve().parents[1]
