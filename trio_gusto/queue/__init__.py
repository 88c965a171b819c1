"""The producer's verbs, and what they give back."""
