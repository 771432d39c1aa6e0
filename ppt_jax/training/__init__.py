"""Training of decoders: objectives, the step, sharding, checkpoints, the loop."""
