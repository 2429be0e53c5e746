"""Brings files into records: what a file holds, what its columns mean, what each row would do, and the doing of it.

``sources`` reads files in a stream · ``mapping`` says what columns mean · ``drafting`` turns a row into raw input ·
``lookups`` finds what references name · ``loading`` validates · ``matching`` finds and compares stored records ·
``engine`` runs it all in transactions. The format of mapping files is in docs/reference/import-mapping.md.
"""

from crm_kernel.records.importing.engine import Mode, import_file, import_folder
from crm_kernel.records.importing.mapping import Mapping, load_mapping
from crm_kernel.records.importing.results import ImportResult, RowError, SourceResult, Verdict

__all__ = [
    "ImportResult",
    "Mapping",
    "Mode",
    "RowError",
    "SourceResult",
    "Verdict",
    "import_file",
    "import_folder",
    "load_mapping",
]
