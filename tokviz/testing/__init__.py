"""Promises that every method and every model family keeps, for packages outside tokviz, too.

    from tokviz.testing import check_family, check_method

    def test_my_method():
        assert not check_method("my_method")          # on the model that ships with tokviz

    def test_my_family():
        assert not check_family((model, processor))   # a tiny one with random weights will do

Both return the broken promises. `tokviz check-method NAME` and `tokviz check-family MODULE` do the
same in a shell. Nothing has to be entered in a list.
"""

from tokviz.testing.check import Broken, check_family, check_method, check_model, family_promises

__all__ = ["Broken", "check_family", "check_method", "check_model", "family_promises"]
