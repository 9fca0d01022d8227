"""From other programs' files to ours; the only place that may import torch."""
