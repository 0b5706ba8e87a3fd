"""A voice and an ear that come with the package: no key, no server, no system package."""
