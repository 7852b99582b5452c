"""What holds for every test: no test depends on how fast this machine is today."""

from hypothesis import settings

from tests.properties import FULL

settings.register_profile("house", deadline=None, print_blob=True)
settings.register_profile(FULL, settings.get_profile("house"))
settings.load_profile("house")
