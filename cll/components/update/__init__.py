"""Update strategies: train a new model, or continue from the champion."""
