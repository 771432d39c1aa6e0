"""Outside benchmarks, one module each; see `protocol`."""
