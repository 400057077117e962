"""House rules that no linter knows: hard stops, owners of versions, complete folders, plain words."""
