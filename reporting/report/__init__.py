"""``report.html``: what a run found, as one page that a person opens.

Built from the documents alone, so that it says what the files say. Nothing here is imported when
``report=Disabled``.
"""
