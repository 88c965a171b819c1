"""What ``trio-gusto init`` writes: the files beside this one, as they are."""
