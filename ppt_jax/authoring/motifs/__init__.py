"""The motifs, one file a family; `ppt_jax.authoring.motif.all_motifs` finds them."""
