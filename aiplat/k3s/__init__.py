"""What k3s itself accepts: releases, configuration keys, registries; what aiplat wants is not here."""
