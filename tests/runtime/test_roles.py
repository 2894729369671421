"""The roles of a process."""

from typing import get_args

from aggregator.runtime.roles import ROLES, STREAMS
from aggregator.settings import Settings


def test_every_role_of_the_settings_can_be_built() -> None:
    """The setting and the table have the same roles."""
    assert {*ROLES, STREAMS} == set(get_args(Settings.model_fields["role"].annotation))
