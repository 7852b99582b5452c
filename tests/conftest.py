"""What holds for every test: no test depends on how fast this machine is today."""

from hypothesis import settings

settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")
