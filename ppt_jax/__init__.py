"""Program-based Posterior Training in JAX: scenarios, labels, fine-tuning, calibration."""

__version__ = "0.1.0"
