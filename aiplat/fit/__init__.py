"""Says where a model fits, how fast it runs and what that costs; looks at no host, deploys nothing."""
