"""The kernel's part of the demo company: invented people and firms, English and French, the same for the same seed."""

from crm_kernel.demo.company import demo_data
from crm_kernel.demo.past import past

__all__ = ["demo_data", "past"]
