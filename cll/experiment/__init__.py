"""Command `cll run` and sweeps: experiments as a Hydra app, the leaderboard, and adoption of a job."""
