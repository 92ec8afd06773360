"""Update strategies: train afresh, or go on from the champion."""
