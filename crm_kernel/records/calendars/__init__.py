"""Shows records by their dates: which days a page holds, which fields a calendar can go by, what stands on each day.

``dates`` is what a record type declares · ``spans`` counts days · ``choosing`` says what a calendar goes by · ``entries`` reads records. The page is
``crm_kernel.records.pages.calendars``.
"""
