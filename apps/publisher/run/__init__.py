"""Carrying out wishes: from what is wanted of a record to what the public sees (cms contract).

`story.py` says what an item is at a site, `media.py` and `terms.py` bring what it needs there,
`steps.py` takes one record through its wish, `checks.py` looks at it once more later, `run.py`
serves the records of one integration.
"""
