"""Makes the artifacts a lock names: `packages` builds them, `upstream` fetches; storing is the bundle's."""
