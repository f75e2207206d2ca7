"""What the tests over every method ask of each."""

import denoisers


def asked(name, **params):
    """Those of the parameters that a method has; few steps for one that trains on the picture."""
    known = {p.name for p in denoisers.spec(name).params}
    quick = {"steps": 20} if denoisers.spec(name).trains else {}
    return quick | {k: v for k, v in params.items() if k in known}
