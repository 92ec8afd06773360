"""`cll run` and sweeps: experiments as a Hydra app, their leaderboard, and adoption of one."""
